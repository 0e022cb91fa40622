"""Compute an arithmetic expression that a model wrote, without running code.

The text is parsed and only numbers and + - * / are followed: whatever else a model may write is refused.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable

from genaiops.flows import tool

OPERATIONS: dict[type[ast.AST], Callable[..., float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.USub: operator.neg,
}
MAX_CHARACTERS = 200


@tool
def code_execution(code: str) -> str:
    try:
        return f"{compute(code):g}"
    except (ValueError, SyntaxError, ZeroDivisionError) as error:
        return f"cannot compute: {error}"


def compute(code: str) -> float:
    if not code or len(code) > MAX_CHARACTERS:
        raise ValueError(f"expected an expression of 1 to {MAX_CHARACTERS} characters, found {len(code)}")
    return _value(ast.parse(code, mode="eval").body)


def _value(node: ast.AST) -> float:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return float(node.value)  # type: ignore[arg-type]
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATIONS:
        return OPERATIONS[type(node.op)](_value(node.left), _value(node.right))
    if isinstance(node, ast.UnaryOp) and type(node.op) in OPERATIONS:
        return OPERATIONS[type(node.op)](_value(node.operand))
    raise ValueError(f"{type(node).__name__} is not arithmetic")
