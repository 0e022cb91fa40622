"""A plain Python evaluator: each `eval_*` function scores one answer."""

from __future__ import annotations


def eval_names_it(answer: str, accepted: list[str]) -> dict[str, float]:
    """How early the right word comes: 1 when it is the first word, towards 0 at the end, 0 when it is missing."""
    words = [word.strip(".,!?").casefold() for word in answer.split()]
    wanted = [word.casefold() for word in accepted]
    places = [place for place, word in enumerate(words) if any(target in word for target in wanted)]
    return {"names_it_early": 1 - places[0] / len(words) if places else 0.0}
