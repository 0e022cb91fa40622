"""The Python nodes of the flow do what the flow relies on."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

USE_CASE = Path(__file__).parents[1]
sys.path[:0] = [str(USE_CASE / "flows" / name) for name in ("math_standard_flow", "math_evaluation_flow")]

from code_execution import code_execution  # noqa: E402 - the flow's folders come first
from code_refine import code_refine  # noqa: E402
from line_process import line_process  # noqa: E402


@pytest.mark.parametrize(("reply", "code"), [("12 + 30 = 42", "12 + 30"), ("It is `6*4`.", "6*4"), ("no idea", "")])
def test_the_expression_is_found_in_the_reply(reply: str, code: str) -> None:
    assert code_refine(reply) == code


@pytest.mark.parametrize(("code", "answer"), [("12 + 30", "42"), ("2 * (3 + 4)", "14"), ("7 / 2", "3.5")])
def test_arithmetic_is_computed(code: str, answer: str) -> None:
    assert code_execution(code) == answer


@pytest.mark.parametrize("code", ["__import__('os').getcwd()", "9 ** 9 ** 9", "1 / 0", "", "x + 1"])
def test_what_is_not_arithmetic_is_refused(code: str) -> None:
    assert code_execution(code).startswith("cannot compute")


def test_a_wrong_number_is_told_from_no_number() -> None:
    assert line_process("42", "42.0") == {"computed": 1, "correct": 1}
    assert line_process("42", "41") == {"computed": 1, "correct": 0}
    assert line_process("42", "cannot compute: …") == {"computed": 0, "correct": 0}
