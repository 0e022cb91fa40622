"""The `gate:` block as people write it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from genaiops.errors import SettingsError
from genaiops.gates import MetricPolicy, SegmentPolicy, read_policy


def test_metric_may_be_a_mapping_a_number_or_a_criterion() -> None:
    policy = read_policy(
        {"metrics": {"accuracy": {"min": 0.8, "max_drop": 0.02}, "f1": 0.7, "toxicity": "<= 5%", "quality.bleu": 0.2}}
    )

    assert policy.metrics == (
        MetricPolicy(metric="accuracy", min=0.8, max_drop=0.02),
        MetricPolicy(metric="f1", min=0.7),
        MetricPolicy(metric="toxicity", max=0.05),
        MetricPolicy(metric="bleu", evaluator="quality", min=0.2),
    )


def test_what_stands_beside_metrics_holds_for_all_of_them() -> None:
    policy = read_policy(
        {"judge": "mean", "segments": ["language"], "metrics": {"a": 0.5, "b": {"min": 0.5, "judge": "interval"}}}
    )

    assert [metric.judge for metric in policy.metrics] == ["mean", "interval"]
    assert policy.metrics[0].segments == SegmentPolicy(columns=("language",))


def test_margin_is_another_word_for_the_largest_drop() -> None:
    assert read_policy({"metrics": {"a": {"margin": 0.03}}}).metrics[0].max_drop == 0.03


def test_limits_of_rows_cost_and_latency_are_read() -> None:
    policy = read_policy({"max_failed_rows": "2%", "max_cost_usd": 3, "max_latency_p95_s": 2.5, "baseline": "champion"})

    assert (policy.max_failed_rows, policy.max_cost_usd, policy.max_latency_p95_s) == (0.02, 3.0, 2.5)
    assert policy.baseline == "champion"


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"metrics": {"accuracy": {"mn": 0.8}}}, "Unknown key 'mn' in gate.metrics.accuracy. Did you mean 'min'?"),
        ({"metrcs": {}}, "Unknown key 'metrcs' in gate. Did you mean 'metrics'?"),
        ({}, "demands nothing"),
        ({"baseline": "champion"}, "demands nothing"),
        ({"metrics": {"accuracy": {}}}, "Nothing is demanded of the metric 'accuracy'"),
        ({"metrics": {"accuracy": "good"}}, "is not understood"),
        ({"metrics": ["accuracy"]}, "found a list"),
        ({"metrics": {"a": {"min": "high"}}}, "'min' is a number; found 'high'"),
        ({"metrics": {"a": {"min": True}}}, "'min' is a number"),
        ({"metrics": {"a": {"min": 0.9, "max": 0.1}}}, "is above its max"),
        ({"metrics": {"a": {"max_drop": -0.1}}}, "0 or more"),
        ({"metrics": {"a": {"margin": 0.1, "max_drop": 0.1}}}, "given twice"),
        ({"metrics": {"a": {"require": "beter"}}}, "Did you mean 'better'?"),
        ({"metrics": {"a": {"min": 0.5, "min_rows": 0.5}}}, "a number of rows"),
        ({"max_failed_rows": 5}, "Write 0.05 for 5 %"),
        ({"max_latency_p95_s": float("nan")}, "is a number"),
        ({"metrics": {"a": {"min": 0.5, "segments": {"colums": ["x"]}}}}, "Did you mean 'columns'?"),
    ],
)
def test_mistakes_say_what_was_expected(block: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_policy(block)

    assert message in str(caught.value)
    assert caught.value.exit_code == 2


def test_mistake_stands_at_its_line_or_the_nearest_one_around_it() -> None:
    lines = {("metrics", "accuracy", "mn"): 14, ("metrics", "accuracy"): 13, (): 11}

    with pytest.raises(SettingsError) as first:
        read_policy(
            {"metrics": {"accuracy": {"mn": 1}}}, file=Path("experiment.yaml"), line_of=lambda *keys: lines.get(keys)
        )
    with pytest.raises(SettingsError) as second:
        read_policy(
            {"metrics": {"accuracy": {"min": "x"}}}, file=Path("experiment.yaml"), line_of=lambda *keys: lines.get(keys)
        )

    assert str(first.value).startswith("experiment.yaml:14: ")
    assert str(second.value).startswith("experiment.yaml:13: ")
