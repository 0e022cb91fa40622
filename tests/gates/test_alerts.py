"""Quality in production against the level that was accepted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genaiops.errors import SettingsError
from genaiops.gates import Check, Evidence, Verdict, alert_text, judge_alert, load_evidence, read_alert
from tests.gates.folders import passes, write_experiment

METRIC = {"metrics": {"accuracy": {"margin": 0.05}}}


def evidence(folder: Path, scores: Any, **options: Any) -> Evidence:
    """What production scored, or what was accepted; the only variant is called `logged`."""
    metrics = scores if isinstance(scores, dict) else {"accuracy": scores}
    return load_evidence(write_experiment(folder, {"logged": metrics}, default="logged", **options))


def judged(production: Evidence, accepted: Evidence | None, block: dict[str, Any] = METRIC, **options: Any) -> Verdict:
    return judge_alert(production, read_alert(block), accepted, **options)


def only(verdict: Verdict, rule: str) -> Check:
    (check,) = (check for check in verdict.checks if check.rule == rule)
    return check


def test_a_fall_that_chance_does_not_explain_raises_the_alarm(tmp_path: Path) -> None:
    """48 of 80 against 56 of 70: Newcombe's interval of the difference is −0.3339 to −0.0524."""
    verdict = judged(evidence(tmp_path / "p", passes(48, 80)), evidence(tmp_path / "a", passes(56, 70)))

    check = only(verdict, "accepted level")
    assert (verdict.result, verdict.exit_code, verdict.baseline) == ("failed", 3, "a")
    assert (check.low, check.high) == (pytest.approx(-0.3339, abs=5e-5), pytest.approx(-0.0524, abs=5e-5))
    assert check.words.startswith("accuracy is 0.6 on 80 requests of train against the accepted 0.8 on 70 rows: −0.2 (")


def test_a_fall_that_chance_explains_raises_none_and_says_what_would_have_shown(tmp_path: Path) -> None:
    verdict = judged(evidence(tmp_path / "p", passes(15, 20)), evidence(tmp_path / "a", passes(56, 70)))

    assert (verdict.result, verdict.exit_code) == ("passed", 0)
    assert (
        "cannot tell. A change of 0.303 would have shown." in verdict.reasons[0]
    )  # 2.802·√(0.75·0.25/20 + 0.8·0.2/70)


def test_an_accepted_drop_raises_none(tmp_path: Path) -> None:
    production, accepted = evidence(tmp_path / "p", passes(1880, 2000)), evidence(tmp_path / "a", passes(1960, 2000))

    assert judged(production, accepted, {"metrics": {"accuracy": {"margin": 0.06}}}).result == "passed"
    assert judged(production, accepted, {"metrics": {"accuracy": {"margin": 0.01}}}).result == "failed"


def test_more_of_a_bad_thing_is_a_fall(tmp_path: Path) -> None:
    long, short = [9.0, 8.0, 10.0] * 20, [3.0, 2.0, 4.0] * 20
    lower = {"lower_is_better": ["length"]}
    block = {"metrics": {"length": {"margin": 1}}}

    worse = judged(
        evidence(tmp_path / "p", {"length": long}, **lower), evidence(tmp_path / "a", {"length": short}, **lower), block
    )
    better = judged(
        evidence(tmp_path / "q", {"length": short}, **lower), evidence(tmp_path / "b", {"length": long}, **lower), block
    )

    assert (worse.result, better.result) == ("failed", "passed")


def test_without_metrics_all_that_both_have_are_watched(tmp_path: Path) -> None:
    production = evidence(
        tmp_path / "p", {"accuracy": passes(10, 50), "fluency": passes(45, 50), "mine": passes(0, 50)}
    )
    accepted = evidence(
        tmp_path / "a", {"accuracy": passes(45, 50), "fluency": passes(45, 50), "theirs": passes(9, 50)}
    )

    verdict = judged(production, accepted, {})

    watched = {check.metric: check.result for check in verdict.checks if check.rule == "accepted level"}
    assert watched == {"accuracy": "failed", "fluency": "passed"}


def test_several_metrics_are_corrected_for_their_number(tmp_path: Path) -> None:
    """Holm: the smallest of four p-values counts four times."""
    names = ["a", "b", "c", "d"]
    production = evidence(tmp_path / "p", {name: passes(40 if name == "a" else 45, 60) for name in names})
    accepted = evidence(tmp_path / "a", {name: passes(50 if name == "a" else 45, 60) for name in names})

    verdict = judged(production, accepted, {"metrics": {name: {"margin": 0} for name in names}})

    smallest = next(check for check in verdict.checks if check.metric == "a")
    assert smallest.details["p_adjusted"] == pytest.approx(4 * smallest.details["p_value"])
    assert smallest.details["p_value"] < 0.05 < smallest.details["p_adjusted"]
    assert verdict.result == "passed"


def test_too_few_requests_are_not_judged_and_none_at_all_is_an_alarm(tmp_path: Path) -> None:
    accepted = evidence(tmp_path / "a", passes(56, 70))

    few = judged(evidence(tmp_path / "p", passes(0, 19)), accepted)
    none = judged(evidence(tmp_path / "n", [None] * 30), accepted, {**METRIC, "max_unscored_rows": 1})
    other = judged(evidence(tmp_path / "o", passes(30, 30)), accepted, {"metrics": {"acuracy": {"margin": 0}}})

    assert (few.result, only(few, "measured").result) == ("not judged", "not judged")
    assert "19 scored requests, under 20" in few.reasons[0]
    assert (none.result, only(none, "measured").result) == ("failed", "failed")
    assert "Did you mean 'accuracy'?" in only(other, "measured").words


def test_a_floor_is_broken_only_when_the_whole_interval_lies_below(tmp_path: Path) -> None:
    """Wilson, 30 of 50: 0.4618 to 0.7239."""
    production = evidence(tmp_path / "p", passes(30, 50))

    def result(**demands: Any) -> str:
        return judged(production, None, {"metrics": {"accuracy": demands}}).result

    assert (result(min=0.72), result(min=0.73), result(min=0.61, judge="mean")) == ("passed", "failed", "failed")
    assert (result(max=0.47), result(max=0.46)) == ("passed", "failed")


def test_failed_requests_beyond_the_limit_are_an_alarm(tmp_path: Path) -> None:
    production = evidence(tmp_path / "p", passes(40, 45), failed={"logged": 5})
    accepted = evidence(tmp_path / "a", passes(40, 45))

    assert judged(production, accepted).result == "failed"
    assert judged(production, accepted, {**METRIC, "max_failed_rows": "10%"}).result == "passed"


def test_before_anything_was_accepted_nothing_is_judged(tmp_path: Path) -> None:
    verdict = judged(evidence(tmp_path / "p", passes(10, 50)), None)

    assert (verdict.result, verdict.exit_code) == ("not judged", 0)
    assert verdict.reasons == ("There is no accepted level yet (champion), so nothing was compared with it.",)


def test_a_metric_that_was_not_accepted_is_no_green_light(tmp_path: Path) -> None:
    accepted = evidence(tmp_path / "a", {"other": passes(9, 50)})

    verdict = judged(evidence(tmp_path / "p", passes(50, 50)), accepted)

    assert verdict.result == "failed"
    assert "was not measured in the accepted experiment" in verdict.reasons[0]


def test_another_evaluator_is_refused_unless_told(tmp_path: Path) -> None:
    def with_code(folder: Path, digest: str) -> Evidence:
        found = evidence(folder, passes(45, 50))
        return Evidence(
            {**found.result, "evaluations": [{"evaluator": "quality", "code_digest": digest}]}, found.row_scores
        )

    production, accepted = with_code(tmp_path / "p", "new"), with_code(tmp_path / "a", "old")

    refused, forced = judged(production, accepted), judged(production, accepted, force=True)

    assert (refused.result, [c.rule for c in refused.checks if c.result == "failed"]) == ("failed", ["comparable"])
    assert not [check for check in refused.checks if check.rule == "accepted level"]
    assert (forced.result, only(forced, "accepted level").result) == ("passed", "passed")


def test_metrics_without_scores_of_rows_need_a_margin(tmp_path: Path) -> None:
    def folder(name: str, value: float) -> Evidence:
        return evidence(tmp_path / name, passes(40, 40), aggregates={"logged": {"recall": value}})

    production, accepted = folder("p", 0.7), folder("a", 0.8)

    assert judged(production, accepted, {"metrics": {"recall": {"margin": 0}}}).result == "not judged"
    assert judged(production, accepted, {"metrics": {"recall": {"margin": 0.05}}}).result == "failed"
    assert judged(production, accepted, {"metrics": {"recall": {"margin": 0.15}}}).result == "passed"


def test_unchanged_quality_raises_an_alarm_in_at_most_a_twentieth_of_weeks(tmp_path: Path) -> None:
    """Three metrics that did not change, 60 requests a week against 100 accepted rows."""
    rng = np.random.default_rng(4)
    policy = read_alert({"metrics": {name: {"margin": 0} for name in "abc"}})

    def sample(rows: int) -> Evidence:
        drawn = {name: (rng.random(rows) < 0.8).astype(float) for name in "abc"}
        form = {
            name: {"value": float(scores.mean()), "low": 0.0, "high": 1.0, "rows": rows}
            for name, scores in drawn.items()
        }
        lines = [
            {
                "evaluator": "e",
                "run": "r",
                "dataset": "d",
                "row": row,
                "scores": {name: drawn[name][row] for name in "abc"},
            }
            for row in range(rows)
        ]
        run = {"id": "r", "variant_label": "logged", "is_baseline": True, "dataset": "d", "rows": {"completed": rows}}
        score = {"evaluator": "e", "run": "r", "dataset": "d", "metrics": form}
        return Evidence({"id": "x", "runs": [run], "scores": [score]}, lines)

    alarms = [judge_alert(sample(60), policy, sample(100)).result == "failed" for _ in range(200)]

    assert np.mean(alarms) <= 0.05


@pytest.mark.parametrize(
    ("block", "message", "keys"),
    [
        ({"metrics": {"a": {"require": "better"}}}, "'require' means nothing in an alert", ("metrics", "a", "require")),
        ({"webhok": "x"}, "Unknown key 'webhok' in alert", ("webhok",)),
        ({"webhook": 5}, "'webhook' is a text; found 5", ("webhook",)),
        ({"notify": "never"}, "'notify' is on alert or always", ("notify",)),
        ({"metrics": {"a": {"margin": -1}}}, "'max_drop' is a size", ("metrics", "a", "max_drop")),
        ({"candidate": "best"}, "Unknown key 'candidate' in alert", ("candidate",)),
    ],
)
def test_mistakes_name_their_line(block: dict[str, Any], message: str, keys: tuple[str, ...]) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        read_alert(block, line_of=lambda *where: {keys: 42}.get(where))

    assert caught.value.line == 42


def test_a_verdict_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    verdict = judged(evidence(tmp_path / "p", passes(48, 80)), evidence(tmp_path / "a", passes(56, 70)))

    assert Verdict.from_json(json.loads(json.dumps(verdict.to_json()))) == verdict


FAILING = {"metrics": {"accuracy": {"on_cannot_tell": "fail", "margin": 0.05}}}


@pytest.mark.parametrize(
    ("scores", "accepted", "block", "options", "words"),
    [
        (passes(48, 80), passes(56, 70), METRIC, {}, "quality fell below the accepted level"),
        (passes(1880, 2000), passes(1880, 2000), METRIC, {}, "none, quality holds"),
        (passes(15, 20), passes(56, 70), METRIC, {}, "none; no fall is proven, but nothing proves that quality held"),
        (passes(15, 20), passes(56, 70), FAILING, {}, "nothing proves that quality held"),
        (passes(0, 19), passes(56, 70), METRIC, {}, "it cannot be told whether quality fell"),
        (passes(40, 80), None, {"metrics": {"accuracy": {"min": 0.9}}}, {}, "quality is beyond a limit"),
        ([None] * 30, passes(56, 70), METRIC, {}, "quality was not measured as demanded"),
        (passes(1880, 2000), passes(1880, 2000), METRIC, {"failed": {"logged": 200}}, "too many requests failed"),
        (passes(9, 20), None, {"max_latency_p95_s": 1}, {}, "a limit of cost or latency is broken"),
    ],
)
def test_an_alert_says_in_one_line_what_it_found(
    tmp_path: Path, scores: Any, accepted: Any, block: dict[str, Any], options: dict[str, Any], words: str
) -> None:
    level = evidence(tmp_path / "a", accepted) if accepted else None

    verdict = judged(evidence(tmp_path / "p", scores, **options), level, block)

    assert alert_text(verdict).splitlines()[0] == f"Alert: {words}"
