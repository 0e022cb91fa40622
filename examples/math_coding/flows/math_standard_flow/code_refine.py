"""The first arithmetic expression in the model's reply; an empty text when there is none."""

from __future__ import annotations

import re

from genaiops.flows import tool

NUMBER = r"\d+(?:\.\d+)?"
EXPRESSION = re.compile(rf"\(?{NUMBER}\)?(?:\s*[-+*/]\s*\(?{NUMBER}\)?)+")


@tool
def code_refine(reply: str) -> str:
    match = EXPRESSION.search(reply.replace("\N{MULTIPLICATION SIGN}", "*").replace("\N{DIVISION SIGN}", "/"))
    return match.group().strip() if match else ""
