"""The four words: better, not worse, worse, cannot tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

from genaiops.stats._comparisons import PairedComparison
from genaiops.stats._corrections import holm
from genaiops.stats._power import rows_to_tell, smallest_detectable

VerdictWord: TypeAlias = Literal["better", "not worse", "worse", "cannot tell"]

FEWEST_PAIRS: Final = 6
"""Below this no exact paired test can reach 5 %: 2 · 0.5⁵ = 0.0625."""


class Decision(NamedTuple):
    """What a comparison means, seen together with the others.

    Attributes:
        verdict: better, not worse, worse, or cannot tell.
        p_adjusted: The p-value after Holm's correction across all that were decided together.
        needed_rows: Rows in all after which it could be told; only with "cannot tell", None when no number would.
        smallest_detectable: The smallest true difference that these rows would have shown.
    """

    verdict: VerdictWord
    p_adjusted: float
    needed_rows: int | None
    smallest_detectable: float


def verdict_word(
    low: float | None,
    high: float | None,
    *,
    margin: float = 0.0,
    higher_is_better: bool = True,
    p_adjusted: float | None = None,
    level: float = 0.95,
    pairs: int | None = None,
) -> VerdictWord:
    """Judge the interval of a difference, not its middle.

    better: the whole interval is on the good side. not worse: the whole interval is above the accepted drop. worse: the
    whole interval is on the bad side and reaches past the accepted drop. cannot tell: anything else.

    Args:
        low: Lower end of candidate − baseline.
        high: Upper end.
        margin: The largest drop that is accepted, 0 or more, in the unit of the metric.
        higher_is_better: The metric's direction.
        p_adjusted: Corrected p-value; better and worse need it at or below 1 − level. Not worse does not: that *all* of
            several metrics are not worse needs no correction (intersection-union).
        level: The level of the interval.
        pairs: Rows compared; below 6 nothing can be told.

    Raises:
        ValueError: `margin` is negative.

    Source:
        Two one-sided tests: Schuirmann (1987), J. Pharmacokinet. Biopharm. 15, 657–680; non-inferiority and
        superiority from one interval: CPMP/EWP/482/99.

    Example:
        >>> verdict_word(-0.01, 0.04, margin=0.02)
        'not worse'
        >>> verdict_word(-0.01, 0.04)
        'cannot tell'
    """
    if margin < 0:
        raise ValueError(f"The margin is the size of a drop, 0 or more; got {margin=}")
    if low is None or high is None or (pairs is not None and pairs < FEWEST_PAIRS):
        return "cannot tell"
    worst, best = (low, high) if higher_is_better else (-high, -low)
    proven = p_adjusted is None or p_adjusted <= 1 - level + 1e-12
    if worst > 0 and proven:
        return "better"
    if worst >= -margin and (margin > 0 or worst == best == 0):
        return "not worse"
    if best < 0 and proven:
        return "worse"
    return "cannot tell"


def decide(
    comparisons: Sequence[PairedComparison], margins: Sequence[float] | None = None, *, level: float = 0.95
) -> list[Decision]:
    """Judge several comparisons together, corrected for their number.

    Args:
        comparisons: All that one decision depends on: leave none out, add none that nobody looks at.
        margins: The accepted drop of each, 0 or more; all 0 by default.
        level: 1 − the chance of even one false "better" or "worse" among them.

    Returns:
        One decision a comparison, in order.

    Raises:
        ValueError: Not one margin a comparison, or a negative one.
    """
    accepted = list(margins) if margins is not None else [0.0] * len(comparisons)
    corrected = holm([comparison.p_value for comparison in comparisons])
    return [
        _decision(comparison, margin, p_adjusted, level)
        for comparison, margin, p_adjusted in zip(comparisons, accepted, corrected, strict=True)
    ]


def _decision(comparison: PairedComparison, margin: float, p_adjusted: float, level: float) -> Decision:
    word = verdict_word(
        comparison.low,
        comparison.high,
        margin=margin,
        higher_is_better=comparison.higher_is_better,
        p_adjusted=p_adjusted,
        level=level,
        pairs=comparison.pairs,
    )
    gain = comparison.difference if comparison.higher_is_better else -comparison.difference
    needed = rows_to_tell(gain, comparison.spread, margin, level=level) if word == "cannot tell" else None
    if needed is not None:  # the approximation may name fewer rows than there are: then it is one more that is missing
        needed = max(needed, comparison.pairs + 1, FEWEST_PAIRS)
    seen = smallest_detectable(comparison.pairs, comparison.spread, level=level)
    return Decision(word, p_adjusted, needed, seen)
