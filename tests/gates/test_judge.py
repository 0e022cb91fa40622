"""Experiments judged from their files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genaiops.errors import DataError, SettingsError
from genaiops.gates import Check, Verdict, judge_experiment, read_policy
from tests.gates.folders import passes, write_experiment


def judged(folder: Path, gate: dict[str, Any], **options: Any) -> Verdict:
    return judge_experiment(folder, read_policy(gate), **options)


def rules(verdict: Verdict, result: str) -> list[str]:
    return [check.rule for check in verdict.checks if check.result == result]


def only(verdict: Verdict, rule: str) -> Check:
    (check,) = (check for check in verdict.checks if check.rule == rule)
    return check


def test_good_experiment_passes_with_its_figures(tmp_path: Path) -> None:
    folder = write_experiment(tmp_path / "e", {"variant_0": {"accuracy": passes(95, 100)}})

    verdict = judged(folder, {"metrics": {"accuracy": {"min": 0.85}}})

    assert (verdict.result, verdict.exit_code) == ("passed", 0)
    assert "accuracy 0.95 (0.888 to 0.978) on train is at or above 0.85." in verdict.reasons


def test_value_below_the_floor_fails(tmp_path: Path) -> None:
    folder = write_experiment(tmp_path / "e", {"variant_0": {"accuracy": passes(70, 100)}})

    verdict = judged(folder, {"metrics": {"accuracy": 0.85}})

    assert (verdict.result, verdict.exit_code) == ("failed", 3)
    assert verdict.reasons == ("accuracy 0.7 (0.604 to 0.781) on train is below 0.85.",)


def test_lucky_mean_is_no_proof_and_says_how_many_rows_would_be(tmp_path: Path) -> None:
    """47 of 50 is 0.94, and 0.838 just as well: (0.94 − 0.838)² / (0.94 − 0.9)² × 50 = 325 rows."""
    folder = write_experiment(tmp_path / "e", {"variant_0": {"accuracy": passes(47, 50)}})

    by_interval = judged(folder, {"metrics": {"accuracy": {"min": 0.9}}})
    by_mean = judged(folder, {"judge": "mean", "metrics": {"accuracy": {"min": 0.9}}})

    assert by_interval.result == "failed"
    assert "50 rows cannot show it. About 327 rows in all would" in by_interval.reasons[0]
    assert by_mean.result == "passed"


def test_ceiling_holds_the_upper_end(tmp_path: Path) -> None:
    folder = write_experiment(tmp_path / "e", {"variant_0": {"toxicity": passes(1, 100)}}, lower_is_better=["toxicity"])

    assert judged(folder, {"metrics": {"toxicity": {"max": 0.06}}}).result == "passed"
    assert judged(folder, {"metrics": {"toxicity": {"max": 0.02}}}).result == "failed"


def test_metric_that_nobody_measured_fails_and_names_the_nearest(tmp_path: Path) -> None:
    folder = write_experiment(tmp_path / "e", {"variant_0": {"accuracy": passes(95, 100)}})

    verdict = judged(folder, {"metrics": {"acuracy": 0.5}})

    assert verdict.result == "failed"
    assert verdict.reasons == ("acuracy was not measured. Did you mean 'accuracy'?",)


def test_nothing_measured_never_passes(tmp_path: Path) -> None:
    crashed = write_experiment(tmp_path / "crashed", {"variant_0": {"accuracy": [None] * 20}})
    empty = write_experiment(tmp_path / "empty", {"variant_0": {"accuracy": []}})
    nothing = write_experiment(tmp_path / "nothing", {})

    for folder in (crashed, empty, nothing):
        verdict = judged(folder, {"metrics": {"accuracy": 0.0}})
        assert verdict.result == "failed", folder
        assert "measured" in rules(verdict, "failed")


def test_all_rows_failing_fails_even_without_metrics(tmp_path: Path) -> None:
    folder = write_experiment(tmp_path / "e", {"variant_0": {"accuracy": []}}, failed={"variant_0": 12})

    verdict = judged(folder, {"max_latency_p95_s": 5})

    assert verdict.result == "failed"
    assert "variant_0 on train: all 12 rows failed." in verdict.reasons


def test_failed_rows_and_unscored_rows_are_counted_apart(tmp_path: Path) -> None:
    scores = [*passes(80, 90), *[None] * 10]
    folder = write_experiment(tmp_path / "e", {"variant_0": {"accuracy": scores}}, failed={"variant_0": 4})

    strict = judged(folder, {"metrics": {"accuracy": 0.5}, "max_failed_rows": 0.01})
    generous = judged(folder, {"metrics": {"accuracy": 0.5}, "max_failed_rows": 0.1, "max_unscored_rows": 0.2})

    assert rules(strict, "failed") == ["failed rows", "unscored rows"]
    assert "4 of 104 rows failed (3.8 %); accepted: 1 %." in strict.reasons[0]
    assert "quality could not score 10 of 100 rows of variant_0 on train (10 %); accepted: 5 %." in strict.reasons[1]
    assert generous.result == "passed"


def test_cost_and_latency_are_held_and_unknown_is_not_cheap(tmp_path: Path) -> None:
    known = write_experiment(tmp_path / "known", {"variant_0": {"accuracy": passes(9, 10)}}, cost_usd=2.0, p95=3.0)
    unknown = write_experiment(
        tmp_path / "unknown", {"variant_0": {"accuracy": passes(9, 10)}}, cost_usd=None, p95=None
    )
    gate = {"max_cost_usd": 2.5, "max_cost_per_row_usd": 0.1, "max_latency_p95_s": 3}

    assert rules(judged(known, gate), "failed") == ["cost"]  # 2.0 / 10 rows = 0.2 a row
    assert rules(judged(unknown, gate), "failed") == ["cost", "cost", "latency"]


def test_only_what_would_ship_is_judged_unless_the_gate_says_otherwise(tmp_path: Path) -> None:
    variants = {"variant_0": {"accuracy": passes(95, 100)}, "variant_1": {"accuracy": passes(50, 100)}}
    folder = write_experiment(tmp_path / "e", variants)
    gate = {"metrics": {"accuracy": 0.85}}

    assert judged(folder, gate).result == "passed"
    assert judged(folder, {**gate, "candidate": "all"}).result == "failed"
    assert judged(folder, {**gate, "candidate": "best"}).candidate == "variant_0"
    assert judged(folder, {**gate, "candidate": "variant_1"}).result == "failed"
    with pytest.raises(SettingsError, match="Did you mean 'variant_1'"):
        judged(folder, {**gate, "candidate": "variant_11"})


def test_regression_against_the_baseline_fails_with_the_figures(tmp_path: Path) -> None:
    before = write_experiment(tmp_path / "before", {"variant_0": {"accuracy": passes(90, 100)}})
    after = write_experiment(
        tmp_path / "after", {"variant_0": {"accuracy": [0.0] * 15 + [1.0] * 75 + [1.0] * 2 + [0.0] * 8}}
    )

    verdict = judged(after, {"metrics": {"accuracy": {"max_drop": 0.02}}}, baseline=before)

    assert verdict.result == "failed"
    check = only(verdict, "baseline")
    assert check.details["verdict"] == "worse"
    assert (check.details["improved"], check.details["worsened"]) == (2, 15)
    assert check.found == pytest.approx(-0.13)
    assert "0.77 against 0.9, −0.13" in check.words


def test_unchanged_application_passes_against_itself(tmp_path: Path) -> None:
    folder = write_experiment(tmp_path / "e", {"variant_0": {"accuracy": passes(90, 100)}})

    verdict = judged(folder, {"metrics": {"accuracy": {"max_drop": 0.05}}}, baseline=folder)

    assert verdict.result == "passed"
    assert only(verdict, "baseline").details["verdict"] == "not worse"


def test_cannot_tell_passes_loudly_unless_proof_is_demanded(tmp_path: Path) -> None:
    before = write_experiment(tmp_path / "before", {"variant_0": {"accuracy": passes(18, 20)}})
    after = write_experiment(tmp_path / "after", {"variant_0": {"accuracy": [0.0, *passes(17, 19)]}})

    quiet = judged(after, {"metrics": {"accuracy": {"max_drop": 0.02}}}, baseline=before)
    strict = judged(after, {"metrics": {"accuracy": {"max_drop": 0.02, "on_cannot_tell": "fail"}}}, baseline=before)
    proof = judged(after, {"metrics": {"accuracy": {"max_drop": 0.02, "require": "not worse"}}}, baseline=before)

    assert quiet.result == "passed"
    assert any("more rows" in reason and "$" in reason for reason in quiet.reasons)
    assert strict.result == proof.result == "failed"
    assert proof.reasons[0].endswith("Demanded: not worse.")


def test_several_metrics_are_corrected_together(tmp_path: Path) -> None:
    """One metric alone is worse (1 against 9 rows: p = 0.012); among eight it is within what chance does."""
    dropped = [0.0] * 9 + [1.0] * 81 + [1.0] + [0.0] * 9
    same = {f"m{n}": passes(90, 100) for n in range(7)}
    before = write_experiment(tmp_path / "before", {"variant_0": {"accuracy": passes(90, 100), **same}})
    after = write_experiment(tmp_path / "after", {"variant_0": {"accuracy": dropped, **same}})
    drop = {"max_drop": 0.0}

    alone = judged(after, {"metrics": {"accuracy": drop}}, baseline=before)
    together = judged(after, {"metrics": dict.fromkeys(("accuracy", *same), drop)}, baseline=before)

    assert alone.result == "failed"
    assert together.result == "passed"


def test_lower_is_better_is_respected(tmp_path: Path) -> None:
    before = write_experiment(tmp_path / "b", {"variant_0": {"errors": passes(5, 100)}}, lower_is_better=["errors"])
    after = write_experiment(tmp_path / "a", {"variant_0": {"errors": passes(25, 100)}}, lower_is_better=["errors"])
    gate = {"metrics": {"errors": {"max_drop": 0.01}}}

    assert judged(after, gate, baseline=before).result == "failed"
    assert judged(before, gate, baseline=after).result == "passed"


def test_variant_that_is_only_tried_out_stops_nothing(tmp_path: Path) -> None:
    variants = {"variant_0": {"accuracy": passes(90, 100)}, "variant_1": {"accuracy": passes(60, 100)}}
    folder = write_experiment(tmp_path / "e", variants)
    gate = {"metrics": {"accuracy": {"min": 0.8, "max_drop": 0.02}}}

    tried = judged(folder, gate)
    candidate = judged(folder, {"candidate": "variant_1", "metrics": {"accuracy": {"max_drop": 0.02}}})

    assert tried.result == "passed"
    assert any("Variants that would not ship are not judged" in reason for reason in tried.reasons)
    assert candidate.result == "failed"
    assert only(candidate, "baseline").variant == "variant_1"


def test_first_run_has_nothing_to_compare_with_and_its_floors_still_count(tmp_path: Path) -> None:
    folder = write_experiment(tmp_path / "e", {"variant_0": {"accuracy": passes(95, 100)}})

    with_floor = judged(folder, {"baseline": "champion", "metrics": {"accuracy": {"min": 0.8, "max_drop": 0.02}}})
    without = judged(folder, {"baseline": "champion", "metrics": {"accuracy": {"max_drop": 0.02}}})

    assert with_floor.result == "passed"
    assert "There is no baseline 'champion' yet, so nothing was compared with it." in with_floor.reasons
    assert (without.result, without.exit_code) == ("not judged", 0)


def test_other_data_or_evaluators_are_refused_unless_told(tmp_path: Path) -> None:
    after = write_experiment(tmp_path / "after", {"variant_0": {"accuracy": passes(90, 100)}}, evaluator_digest="e1")
    data = write_experiment(tmp_path / "data", {"variant_0": {"accuracy": passes(90, 100)}}, digest="0" * 64)
    judge = write_experiment(tmp_path / "judge", {"variant_0": {"accuracy": passes(90, 100)}}, evaluator_digest="e2")
    gate = {"metrics": {"accuracy": {"max_drop": 0.05}}}

    for baseline, what in ((data, "The dataset 'train'"), (judge, "The evaluator 'quality'")):
        refused = judged(after, gate, baseline=baseline)
        forced = judged(after, gate, baseline=baseline, force=True)
        assert refused.result == "failed"
        assert refused.reasons[0].startswith(what)
        assert rules(refused, "passed") == ["failed rows", "unscored rows"]
        assert forced.result == "passed"
        assert any("Compared all the same" in reason for reason in forced.reasons)


def test_baseline_without_the_metric_compares_nothing(tmp_path: Path) -> None:
    after = write_experiment(tmp_path / "after", {"variant_0": {"accuracy": passes(90, 100)}})
    before = write_experiment(tmp_path / "before", {"variant_0": {"f1": passes(90, 100)}})

    assert judged(after, {"metrics": {"accuracy": {"max_drop": 0.05}}}, baseline=before).result == "failed"


def test_aggregates_are_compared_by_value_and_said_to_be(tmp_path: Path) -> None:
    rows = {"variant_0": {"accuracy": passes(90, 100)}}
    before = write_experiment(tmp_path / "before", rows, aggregates={"variant_0": {"f1": 0.8}})
    after = write_experiment(tmp_path / "after", rows, aggregates={"variant_0": {"f1": 0.7}})

    verdict = judged(after, {"metrics": {"f1": {"max_drop": 0.05}}}, baseline=before)

    assert verdict.result == "failed"
    assert "Compared by value alone" in verdict.reasons[0]
    assert judged(after, {"metrics": {"f1": {"min": 0.65}}}).result == "passed"


def test_dead_segment_behind_a_good_average_fails(tmp_path: Path) -> None:
    segments = {
        "language": {
            "en": {"accuracy": {"value": 0.97, "low": 0.92, "high": 0.99, "rows": 90}},
            "fr": {"accuracy": {"value": 0.5, "low": 0.3, "high": 0.7, "rows": 22}},
            "fi": {"accuracy": {"value": 0.0, "low": 0.0, "high": 0.5, "rows": 4}},
        }
    }
    folder = write_experiment(tmp_path / "e", {"variant_0": {"accuracy": passes(95, 100)}}, segments=segments)

    verdict = judged(folder, {"metrics": {"accuracy": {"min": 0.8, "segments": {"columns": ["language"], "min": 0.6}}}})

    results = {check.segment: check.result for check in verdict.checks if check.rule == "segment"}
    assert results == {"language = en": "passed", "language = fi": "not judged", "language = fr": "failed"}
    assert verdict.reasons[0].startswith("accuracy for language = fr 0.5 (0.3 to 0.7) on train is below 0.6")


def test_parts_of_the_data_need_no_proof_unless_it_is_demanded(tmp_path: Path) -> None:
    segments = {"language": {"en": {"accuracy": {"value": 0.8, "low": 0.63, "high": 0.9, "rows": 30}}}}
    folder = write_experiment(tmp_path / "e", {"variant_0": {"accuracy": passes(95, 100)}}, segments=segments)
    metric = {"min": 0.7, "segments": {"columns": ["language"]}}

    by_value = judged(folder, {"metrics": {"accuracy": metric}})
    by_interval = judged(
        folder, {"metrics": {"accuracy": {**metric, "segments": {"column": "language", "judge": "interval"}}}}
    )

    assert by_value.result == "passed"
    assert rules(by_interval, "failed") == ["segment"]


def test_unknown_segment_column_fails(tmp_path: Path) -> None:
    folder = write_experiment(tmp_path / "e", {"variant_0": {"accuracy": passes(95, 100)}}, segments={"language": {}})

    verdict = judged(folder, {"metrics": {"accuracy": {"min": 0.5, "segments": ["langage"]}}})

    assert "Did you mean 'language'?" in verdict.reasons[0]


def test_repeats_of_a_row_are_one_row(tmp_path: Path) -> None:
    folder = write_experiment(tmp_path / "e", {"variant_0": {"accuracy": passes(36, 40)}}, repeats=5)

    check = only(judged(folder, {"metrics": {"accuracy": {"min": 0.7}}}), "floor")

    assert check.details["rows"] == 40
    assert check.low == pytest.approx(0.7695, abs=5e-4)  # Wilson, 36 of 40, not 180 of 200


def test_each_demand_is_checked_once_however_often_rows_were_repeated(tmp_path: Path) -> None:
    """2 failed rows a repeat of 38 + 2: 10 of 200, which is 5 % once more."""
    scores: list[float | None] = [*passes(36, 37), None]
    folder = write_experiment(tmp_path / "e", {"variant_0": {"accuracy": scores}}, failed={"variant_0": 2}, repeats=5)

    verdict = judged(folder, {"metrics": {"accuracy": {"min": 0.5}}, "max_latency_p95_s": 2})

    assert [check.rule for check in verdict.checks] == ["failed rows", "unscored rows", "floor", "latency"]
    assert only(verdict, "failed rows").words == (
        "variant_0 on train, 5 repeats: 10 of 200 rows failed (5 %); accepted: 5 %."
    )
    assert only(verdict, "unscored rows").found == pytest.approx(5 / 190)
    assert "in the slowest of 5 repeats" in only(verdict, "latency").words


def test_the_slowest_repeat_is_held_against_the_limit_and_an_unknown_one_is_not_fast(tmp_path: Path) -> None:
    folder = write_experiment(tmp_path / "e", {"variant_0": {"accuracy": passes(36, 40)}}, repeats=3)
    file = folder / "experiment.json"
    form = json.loads(file.read_text())
    policy = {"metrics": {"accuracy": {"min": 0.5}}, "max_latency_p95_s": 2}

    form["runs"][1]["latency_s"]["p95"] = 2.5
    file.write_text(json.dumps(form))
    slow = only(judged(folder, policy), "latency")
    form["runs"][1]["latency_s"]["p95"] = None
    file.write_text(json.dumps(form))
    unknown = only(judged(folder, policy), "latency")

    assert (slow.result, slow.found) == ("failed", 2.5)
    assert unknown.result == "failed"
    assert "was not measured" in unknown.words


def test_clusters_weaken_a_comparison(tmp_path: Path) -> None:
    """All ten changed rows belong to one conversation: that is one event, not ten."""
    before_scores, after_scores = passes(90, 100), [0.0] * 10 + [1.0] * 80 + [0.0] * 10
    clusters = [f"c{row // 10}" for row in range(100)]
    gate = {"metrics": {"accuracy": {"max_drop": 0.0}}}
    before = write_experiment(tmp_path / "b", {"variant_0": {"accuracy": before_scores}}, clusters=clusters)
    after = write_experiment(tmp_path / "a", {"variant_0": {"accuracy": after_scores}}, clusters=clusters)
    plain_before = write_experiment(tmp_path / "pb", {"variant_0": {"accuracy": before_scores}})
    plain_after = write_experiment(tmp_path / "pa", {"variant_0": {"accuracy": after_scores}})

    assert judged(plain_after, gate, baseline=plain_before).result == "failed"
    assert judged(after, gate, baseline=before).result == "passed"


def test_winner_of_many_must_hold_on_rows_that_did_not_choose_it(tmp_path: Path) -> None:
    variants = {"variant_0": {"accuracy": passes(80, 100)}, "variant_1": {"accuracy": passes(99, 100)}}
    gate = {"candidate": "best", "confirm": {"share": 0.3}, "metrics": {"accuracy": 0.5}}
    confirmation = [{"metric": "accuracy", "candidate": "variant_1", "verdict": "better", "pairs": 40}]
    unconfirmed = write_experiment(tmp_path / "u", variants)
    confirmed = write_experiment(tmp_path / "c", variants, extra={"confirmation": confirmation})

    assert "not confirmed on held-out rows" in judged(unconfirmed, gate).reasons[0]
    assert judged(confirmed, gate).result == "passed"


def test_no_policy_is_not_judged(tmp_path: Path) -> None:
    folder = write_experiment(tmp_path / "e", {"variant_0": {"accuracy": passes(9, 10)}})

    assert judge_experiment(folder, None).result == "not judged"


def test_missing_and_broken_files_say_where(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no experiment here"):
        judge_experiment(tmp_path, None)
    folder = write_experiment(tmp_path / "e", {"variant_0": {"accuracy": passes(9, 10)}})
    (folder / "row_scores.jsonl").write_text('{"row": 0}\n{"row', encoding="utf-8")
    with pytest.raises(DataError, match=r"row_scores\.jsonl:2"):
        judge_experiment(folder, None)


def test_row_scores_outside_the_folder_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "row_scores.jsonl").write_text("not json", encoding="utf-8")
    folder = write_experiment(
        tmp_path / "e", {"variant_0": {"accuracy": passes(9, 10)}}, extra={"row_scores": "../row_scores.jsonl"}
    )

    assert judged(folder, {"metrics": {"accuracy": 0.1}}).result == "passed"


def test_gate_raises_few_false_alarms_on_an_unchanged_application(tmp_path: Path) -> None:
    """100 rows, 10 % flip by chance, three metrics. "Any mean dropped" would stop about 80 % of releases."""
    rng = np.random.default_rng(11)
    policy = read_policy({"metrics": {name: {"max_drop": 0.02} for name in "abc"}})
    stopped = naive = 0
    for index in range(150):
        first = {name: (rng.random(100) < 0.85).astype(float) for name in "abc"}
        second = {name: np.where(rng.random(100) < 0.1, 1 - scores, scores) for name, scores in first.items()}
        # Flips pull a high rate down; turn half of them round so that the truth is "unchanged".
        swap = {name: rng.random(100) < 0.5 for name in "abc"}
        before = {name: np.where(swap[name], second[name], first[name]).tolist() for name in "abc"}
        after = {name: np.where(swap[name], first[name], second[name]).tolist() for name in "abc"}
        old = write_experiment(tmp_path / f"b{index}", {"variant_0": before})
        new = write_experiment(tmp_path / f"a{index}", {"variant_0": after})
        stopped += judge_experiment(new, policy, baseline=old).result == "failed"
        naive += any(sum(after[name]) < sum(before[name]) for name in "abc")

    assert stopped / 150 <= 0.05
    assert naive / 150 > 0.7


def test_half_an_experiment_proves_nothing(tmp_path: Path) -> None:
    rows = {"variant_0": {"accuracy": passes(95, 100)}}
    interrupted = write_experiment(tmp_path / "i", rows, extra={"status": "interrupted"})
    budget = write_experiment(tmp_path / "b", rows, extra={"partial": "the budget of $5 was spent."})
    gate = {"metrics": {"accuracy": 0.8}}

    assert "interrupted before its end" in judged(interrupted, gate).reasons[0]
    assert judged(interrupted, gate).result == "failed"
    assert judged(budget, gate).result == "passed"
    assert any("the budget of $5 was spent." in reason for reason in judged(budget, gate).reasons)


def test_one_row_is_called_a_row_in_every_sentence(tmp_path: Path) -> None:
    demands = {"ok": {"min": 0.99, "min_rows": 1, "segments": {"columns": ["lang"], "min_rows": 9, "min": 0.1}}}
    segments = {"lang": {"fi": {"ok": {"value": 1.0, "rows": 1, "low": 0.2, "high": 1.0}}}}
    one = write_experiment(tmp_path / "one", {"variant_0": {"ok": passes(1, 1)}}, segments=segments)
    none = write_experiment(tmp_path / "none", {"variant_0": {"ok": []}}, failed={"variant_0": 1})
    policy = read_policy({"metrics": demands})

    words = " ".join(check.words for folder in (one, none) for check in judge_experiment(folder, policy).checks)

    for sentence in ("0 of 1 row failed", "its only row failed", "1 row, under 9", ": 1 row cannot show it."):
        assert sentence in words
    assert re.findall(r"\b1 (?:rows|repeats|requests)\b", words) == []


def test_one_failed_row_of_very_many_is_not_no_failed_row(tmp_path: Path) -> None:
    folder = write_experiment(tmp_path / "e", {"variant_0": {"ok": passes(2999, 2999)}}, failed={"variant_0": 1})

    (check,) = (
        each
        for each in judge_experiment(folder, read_policy({"max_failed_rows": 0.01})).checks
        if each.rule == "failed rows"
    )

    assert "1 of 3,000 rows failed (under 0.1 %)" in check.words
