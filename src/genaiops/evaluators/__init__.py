"""Outputs in, scores out: ours and yours."""

from genaiops.evaluators._builtin import (
    BUILTINS,
    Builtin,
    RowFacts,
    builtin_names,
    check_builtin,
    classification_metrics,
    score_builtin,
)
from genaiops.evaluators._numbers import as_score, flatten, link_aggregates, lower_is_better, score_columns
from genaiops.evaluators._records import Evaluation, RowScore

__all__ = [
    "BUILTINS",
    "Builtin",
    "Evaluation",
    "RowFacts",
    "RowScore",
    "as_score",
    "builtin_names",
    "check_builtin",
    "classification_metrics",
    "flatten",
    "link_aggregates",
    "lower_is_better",
    "score_builtin",
    "score_columns",
]
