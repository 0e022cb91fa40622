"""What tokens cost, from the offline table of genai-prices or from a table of your own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from genaiops.tracing._price_memory import PriceMemory
from genaiops.tracing._spans import TokenUsage

_memory: list[PriceMemory] = []


def remember_prices(folder: Path) -> None:
    """Keep looked-up prices in this folder for later processes: to load the whole table takes a third of a second."""
    _memory[:] = [PriceMemory(folder)]


def price_usd(
    model: str,
    provider: str | None,
    usage: TokenUsage,
    *,
    overrides: Mapping[str, Mapping[str, float]] | None = None,
    when: datetime | None = None,
) -> float | None:
    """What a call cost, in US dollars, or None when nobody knows the price.

    Args:
        model: The name that the reply or the request gave: `gpt-4o`, `gpt-4o-2024-08-06`.
        provider: `openai`, `azure`, …; None looks the model up everywhere.
        usage: Tokens sent and received.
        overrides: Your own prices in dollars per million tokens: `{"my-model": {"input": 0.5, "output": 1.5}}`.
        when: The day whose prices count; today by default.
    """
    own = (overrides or {}).get(model)
    if own is not None:
        return (usage.input * own.get("input", 0.0) + usage.output * own.get("output", 0.0)) / 1_000_000
    if not usage:
        return 0.0
    per_token = _unit_prices(model, provider, when)
    if per_token is None:
        return None
    fresh = (usage.input - usage.cached) * per_token.fresh
    return fresh + usage.cached * per_token.cached + usage.output * per_token.output


class _UnitPrices(NamedTuple):
    """Dollars for one token sent, one served from the provider's cache, one received."""

    fresh: float
    cached: float
    output: float


@lru_cache(maxsize=256)
def _unit_prices(model: str, provider: str | None, when: datetime | None) -> _UnitPrices | None:
    """Looked up once a model: the table takes milliseconds to search, a run has thousands of calls."""
    if when is not None or not _memory:
        return _look_up(model, provider, when)
    found = _memory[0].recall(
        (model, provider), lambda: _look_up(model, provider, None), today=datetime.now(UTC).date()
    )
    return None if found is None else _UnitPrices(*found)


def _look_up(model: str, provider: str | None, when: datetime | None) -> _UnitPrices | None:
    """From the table. A thousand tokens at a time, so that tiered prices use their first tier, as nearly all calls."""
    from genai_prices import Usage, calc_price

    def price(**tokens: int) -> float:
        found: Any = calc_price(Usage(**tokens), model_ref=model, provider_id=provider, genai_request_timestamp=when)
        return float(found.total_price)

    try:
        fresh = price(input_tokens=1000, output_tokens=0) / 1000
        output = price(input_tokens=0, output_tokens=1000) / 1000
        cached = price(input_tokens=1000, output_tokens=0, cache_read_tokens=1000) / 1000
    except LookupError:
        # The same model under another roof (an Azure deployment, a gateway): the list price is the best estimate.
        return _look_up(model, None, when) if provider is not None else None
    return _UnitPrices(fresh, cached, output)
