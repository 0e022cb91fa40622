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

__all__ = [
    "BUILTINS",
    "Builtin",
    "RowFacts",
    "builtin_names",
    "check_builtin",
    "classification_metrics",
    "score_builtin",
]
