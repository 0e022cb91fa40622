"""The label in the model's reply; anything else is `unknown`, so that a wrong reply is counted and not lost."""

from __future__ import annotations

import re

from genaiops.flows import tool

LABELS = ("recipe", "job", "shop", "event", "news")


@tool
def read_label(reply: str) -> dict[str, str]:
    words = re.findall(r"[a-z]+", reply.lower())
    return {"category": next((word for word in words if word in LABELS), "unknown"), "reply": reply}
