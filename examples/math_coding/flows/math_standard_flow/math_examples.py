"""Solved questions that show the model the form of an answer."""

from __future__ import annotations

from genaiops.flows import tool

EXAMPLES = [
    ("What is 7 plus 5?", "7 + 5"),
    ("A box holds 6 pens. How many pens are in 4 boxes?", "6 * 4"),
    ("Take 9 from 20.", "20 - 9"),
    ("Share 24 nuts among 8 children. How many does each get?", "24 / 8"),
    ("There were 30 boats and 11 left. How many are left?", "30 - 11"),
    ("A pen costs 2 euros. What do 5 pens cost?", "2 * 5"),
    ("Divide 63 by 9.", "63 / 9"),
    ("She has 21 stamps and gets 6 more. How many has she now?", "21 + 6"),
]


@tool
def math_examples(number: int) -> list[dict[str, str]]:
    return [{"question": question, "code": code} for question, code in EXAMPLES[:number]]
