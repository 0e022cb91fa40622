"""A task in words in, a Python function out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from genaiops.prompts import AsyncPrompty
from genaiops.tracing import trace

PROMPT = AsyncPrompty.load(Path(__file__).parent / "programmer.prompty")
BLOCK = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL)


@dataclass
class Program:
    code: str
    reply: str


async def write_function(task: str) -> Program:
    reply = await PROMPT(task=task)
    return Program(code=code_of(reply), reply=reply)


@trace
def code_of(reply: str) -> str:
    """The first code block of a reply; the whole reply when there is none."""
    block = BLOCK.search(reply)
    return (block.group(1) if block else reply).strip()
