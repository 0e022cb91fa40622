"""Intervals, paired tests, power: plain numbers, no I/O."""

from genaiops.stats._clusters import (
    cluster_bootstrap_interval,
    cluster_effect,
    cluster_interval,
    cluster_rate_interval,
)
from genaiops.stats._comparisons import PairedComparison, Pairs, average_repeats, compare_pairs, pair_rows
from genaiops.stats._corrections import benjamini_hochberg, holm
from genaiops.stats._estimates import Estimate, choose_interval, estimate, is_rate
from genaiops.stats._independent import IndependentComparison, compare_independent
from genaiops.stats._intervals import Interval, bootstrap_interval, mean_interval, t_interval, wilson_interval
from genaiops.stats._noise import NoiseFloor, noise_floor
from genaiops.stats._pairs import mcnemar_midp, paired_rate_interval, permutation_p, wilcoxon_p
from genaiops.stats._power import paired_spread, rows_needed, rows_to_tell, smallest_detectable
from genaiops.stats._sequential import (
    always_valid_p,
    difference_sequence,
    mean_sequence,
    smooth_rate,
    split_p,
    worse_evidence,
)
from genaiops.stats._verdicts import FEWEST_PAIRS, Decision, VerdictWord, decide, verdict_word
from genaiops.stats._winners import Winner, winner

__all__ = [
    "FEWEST_PAIRS",
    "Decision",
    "Estimate",
    "IndependentComparison",
    "Interval",
    "NoiseFloor",
    "PairedComparison",
    "Pairs",
    "VerdictWord",
    "Winner",
    "always_valid_p",
    "average_repeats",
    "benjamini_hochberg",
    "bootstrap_interval",
    "choose_interval",
    "cluster_bootstrap_interval",
    "cluster_effect",
    "cluster_interval",
    "cluster_rate_interval",
    "compare_independent",
    "compare_pairs",
    "decide",
    "difference_sequence",
    "estimate",
    "holm",
    "is_rate",
    "mcnemar_midp",
    "mean_interval",
    "mean_sequence",
    "noise_floor",
    "pair_rows",
    "paired_rate_interval",
    "paired_spread",
    "permutation_p",
    "rows_needed",
    "rows_to_tell",
    "smallest_detectable",
    "smooth_rate",
    "split_p",
    "t_interval",
    "verdict_word",
    "wilcoxon_p",
    "wilson_interval",
    "winner",
    "worse_evidence",
]
