"""Looks at code without running it: does it parse, and does it define the wanted function with its parameters?"""

from __future__ import annotations

import ast
from typing import TypedDict


class Checked(TypedDict):
    parses: int
    defines: int
    parameters_right: int


class CodeCheck:
    def __call__(self, code: str, function: str, parameters: int) -> Checked:
        definitions = functions_of(code)
        found = definitions.get(function)
        return {
            "parses": int(definitions is not NOT_PYTHON),
            "defines": int(found is not None),
            "parameters_right": int(found is not None and len(found.args.args) == parameters),
        }

    def __aggregate__(self, line_results: list[Checked]) -> dict[str, float]:
        total = len(line_results)
        return {f"{name}_rate": sum(row[name] for row in line_results) / total for name in Checked.__annotations__}


NOT_PYTHON: dict[str, ast.FunctionDef] = {}


def functions_of(code: str) -> dict[str, ast.FunctionDef]:
    """The functions that stand at the top of the code, by name; `NOT_PYTHON` when it does not parse."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError):
        return NOT_PYTHON
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
