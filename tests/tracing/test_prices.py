"""Prices come from a table; a model that nobody knows has none."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from genaiops.tracing import TokenUsage, price_usd
from genaiops.tracing._price_memory import PriceMemory


def test_your_own_prices_are_dollars_per_million_tokens() -> None:
    cost = price_usd("mine", None, TokenUsage(1_000_000, 500_000), overrides={"mine": {"input": 2.0, "output": 10.0}})

    assert cost == pytest.approx(7.0)


def test_the_table_prices_input_and_output_linearly() -> None:
    one = price_usd("gpt-4o-mini", "openai", TokenUsage(1000, 0))
    many = price_usd("gpt-4o-mini", "openai", TokenUsage(3000, 0))

    assert one is not None
    assert one > 0
    assert many == pytest.approx(3 * one)


def test_cached_tokens_cost_no_more_than_fresh_ones() -> None:
    fresh = price_usd("gpt-4o-mini", "openai", TokenUsage(1000, 10))
    cached = price_usd("gpt-4o-mini", "openai", TokenUsage(1000, 10, cached=1000))

    assert fresh is not None
    assert cached is not None
    assert cached < fresh


def test_an_unknown_model_has_no_price_and_no_tokens_cost_nothing() -> None:
    assert price_usd("no-such-model-anywhere", "openai", TokenUsage(10, 10)) is None
    assert price_usd("no-such-model-anywhere", None, TokenUsage()) == 0.0


def test_a_price_that_was_looked_up_today_is_not_looked_up_again(tmp_path: Path) -> None:
    memory, today = PriceMemory(tmp_path), date(2026, 1, 5)

    first = memory.recall(("m", "openai"), lambda: (1e-6, 5e-7, 2e-6), today=today)
    second = PriceMemory(tmp_path).recall(("m", "openai"), pytest.fail, today=today)
    nobody = [memory.recall(("n", None), look_up, today=today) for look_up in (lambda: None, pytest.fail)]

    assert list(second or ()) == list(first or ()) == [1e-6, 5e-7, 2e-6]
    assert nobody == [None, None]


def test_prices_are_looked_up_again_on_another_day(tmp_path: Path) -> None:
    memory = PriceMemory(tmp_path)
    memory.recall(("m", "openai"), lambda: (1.0, 1.0, 1.0), today=date(2026, 1, 5))

    assert memory.recall(("m", "openai"), lambda: (2.0, 2.0, 2.0), today=date(2026, 1, 6)) == (2.0, 2.0, 2.0)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"valid": 1}', '{"valid": "x", "prices": 3}'])
def test_a_broken_file_of_prices_is_replaced(tmp_path: Path, text: str) -> None:
    (tmp_path / "prices.json").write_text(text)
    memory = PriceMemory(tmp_path)

    assert memory.recall(("m", None), lambda: (1.0, 1.0, 1.0), today=date(2026, 1, 5)) == (1.0, 1.0, 1.0)
    assert memory.recall(("m", None), pytest.fail, today=date(2026, 1, 5)) == [1.0, 1.0, 1.0]


def test_a_folder_that_cannot_be_written_costs_no_price(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert PriceMemory(tmp_path / "file").recall(("m", None), lambda: (1.0, 1.0, 1.0), today=date(2026, 1, 5))
