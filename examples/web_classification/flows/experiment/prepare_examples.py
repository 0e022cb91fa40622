"""Two solved pages of each label, shown to the model before the page in question."""

from __future__ import annotations

from genaiops.flows import tool

EXAMPLES = [
    ("Mix flour, eggs and milk, rest the batter and fry thin waffles.", "recipe"),
    ("We are looking for a night porter, 30 hours a week, apply by 1 March.", "job"),
    ("Buy this pine table for 149 euros, free delivery, add to cart.", "shop"),
    ("Open air opera on Friday at 8 pm in the park, tickets at the door.", "event"),
    ("Parliament voted yesterday to change the law after the report.", "news"),
    ("Whisk the yolks with sugar and bake the cake for 40 minutes.", "recipe"),
    ("The company hires an electrician, full time, good pay.", "job"),
    ("Linen curtains, 35 euros, in stock, order online.", "shop"),
    ("Guided tour of the cathedral on Saturday at 3 pm.", "event"),
    ("Police closed the motorway on Sunday after a fire.", "news"),
]


@tool
def prepare_examples() -> list[dict[str, str]]:
    return [{"page": page, "label": label} for page, label in EXAMPLES]
