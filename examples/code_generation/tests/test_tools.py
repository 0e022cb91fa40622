"""The Python parts of the flow do what the flow relies on."""

from __future__ import annotations

import sys
from pathlib import Path

USE_CASE = Path(__file__).parents[1]
sys.path[:0] = [str(USE_CASE / "flows" / name) for name in ("programmer", "code_check")]

from code_check import CodeCheck  # noqa: E402 - the flow's folders come first
from programmer import code_of  # noqa: E402


def test_the_first_code_block_is_the_code() -> None:
    assert code_of("Here:\n```python\nx = 1\n```\nmore\n```\ny\n```") == "x = 1"
    assert code_of("x = 1") == "x = 1"
    assert code_of("```python\nx = 1") == "x = 1"


def test_code_is_looked_at_and_never_run() -> None:
    check = CodeCheck()

    assert check("def add(a, b):\n    return a + b", "add", 2) == {"parses": 1, "defines": 1, "parameters_right": 1}
    assert check("def add(a):\n    return a", "add", 2) == {"parses": 1, "defines": 1, "parameters_right": 0}
    assert check("raise SystemExit", "add", 2) == {"parses": 1, "defines": 0, "parameters_right": 0}
    assert check("def add(:", "add", 2) == {"parses": 0, "defines": 0, "parameters_right": 0}


def test_rates_are_shares_of_all_rows() -> None:
    rows = [{"parses": 1, "defines": 1, "parameters_right": 0}, {"parses": 0, "defines": 0, "parameters_right": 0}]

    assert CodeCheck().__aggregate__(rows) == {"parses_rate": 0.5, "defines_rate": 0.5, "parameters_right_rate": 0.0}
