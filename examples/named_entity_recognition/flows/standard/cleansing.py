"""The model's reply as a list: split at commas, trimmed, each name once, in the order of the reply."""

from __future__ import annotations

import re

from genaiops.flows import tool


@tool
def cleansing(reply: str) -> list[str]:
    first_line = reply.strip().split("\n")[0]
    names = [name.strip(" .\t\"'") for name in re.split(r",| and ", first_line)]
    return list(dict.fromkeys(name for name in names if name))
