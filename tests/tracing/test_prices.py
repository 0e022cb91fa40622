"""Prices come from a table; a model that nobody knows has none."""

from __future__ import annotations

import pytest

from genaiops.tracing import TokenUsage, price_usd


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
