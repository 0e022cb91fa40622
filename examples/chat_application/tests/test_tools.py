"""The Python parts of the flow do what the flow relies on."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

USE_CASE = Path(__file__).parents[1]
sys.path[:0] = [str(USE_CASE / "flows" / name) for name in ("chat", "checklist", "eval_answers")]

from chat import Chat  # noqa: E402 - the flow's folders come first
from checklist import Checklist  # noqa: E402
from eval_answers import eval_names_it  # noqa: E402


def test_an_unknown_style_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="short, shown_how"):
        Chat(style="long")


def test_one_accepted_word_is_enough_whatever_its_case() -> None:
    assert Checklist()("There are Seven days.", ["seven", "7"]) == {"right": 1, "short": 1}
    assert Checklist()("", ["seven"]) == {"right": 0, "short": 0}
    assert Checklist()("word " * 26, ["seven"]) == {"right": 0, "short": 0}


def test_an_early_answer_scores_higher() -> None:
    assert eval_names_it("Honey is made by bees.", ["honey"]) == {"names_it_early": 1.0}
    assert eval_names_it("Bees make honey.", ["honey"]) == {"names_it_early": pytest.approx(1 / 3)}
    assert eval_names_it("I do not know.", ["honey"]) == {"names_it_early": 0.0}
