"""F1 of each label and their mean (macro F1): a label that is never found cannot hide behind the others.

F1 is the harmonic mean of precision and recall: 2·hits / (2·hits + false alarms + misses).
"""

from __future__ import annotations

from genaiops.flows import log_metric, tool


@tool
def per_label(labels: list[str], categories: list[str]) -> dict[str, float]:
    scores = {label: f1(label, labels, categories) for label in sorted(set(labels))}
    for label, score in scores.items():
        log_metric(f"f1_{label}", score)
    log_metric("macro_f1", sum(scores.values()) / len(scores))
    return scores


def f1(label: str, labels: list[str], categories: list[str]) -> float:
    pairs = list(zip(labels, categories, strict=True))
    hits = sum(truth == label and found == label for truth, found in pairs)
    wrong = sum((truth == label) != (found == label) for truth, found in pairs)
    return 2 * hits / (2 * hits + wrong) if hits or wrong else 0.0
