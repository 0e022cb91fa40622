"""What to do next."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from genaiops.reports import read_story
from genaiops.reports._advice import advise, headline
from tests.gates.folders import passes, write_experiment


def story_of(tmp_path: Path, **extra: Any) -> Any:
    variants = {"variant_0": {"ok": passes(80, 100)}, "variant_1": {"ok": passes(90, 100)}}
    return read_story(write_experiment(tmp_path / "e", variants, extra=extra))


def comparison(verdict: str, **more: Any) -> dict[str, Any]:
    return {"metric": "ok", "dataset": "train", "baseline": "variant_0", "candidate": "variant_1", "difference": 0.1,
            "low": 0.05, "high": 0.16, "verdict": verdict, "pairs": 100, "margin": 0.02, **more}  # fmt: skip


def test_better_variant_is_to_become_the_default(tmp_path: Path) -> None:
    (first, *_) = advise(story_of(tmp_path, comparisons=[comparison("better")]))

    assert first.title == "Make variant_1 the default"
    assert "+0.100 (0.050 to 0.160)" in first.text


def test_better_here_and_worse_there_is_no_winner(tmp_path: Path) -> None:
    steps = advise(story_of(tmp_path, comparisons=[comparison("better"), comparison("worse", metric="f1")]))

    assert not any("default" in step.title for step in steps)


def test_cannot_tell_says_rows_and_money(tmp_path: Path) -> None:
    steps = advise(story_of(tmp_path, comparisons=[comparison("cannot tell", needed_rows=410)]))

    (step,) = (step for step in steps if step.title.startswith("Add rows"))
    assert "about 310 more rows ($1.55) would tell" in step.text  # $0.5 for 100 rows, 310 more


def test_margin_below_the_noise_is_said_to_be(tmp_path: Path) -> None:
    steps = advise(story_of(tmp_path, comparisons=[comparison("not worse")], noise_floor={"floor": 0.06}))

    assert "The margin is finer than the noise" in [step.title for step in steps]


def test_recorded_replies_call_for_a_live_run(tmp_path: Path) -> None:
    assert "Run it live before a release" in [step.title for step in advise(story_of(tmp_path, source="recorded"))]


def test_passed_gate_comes_first(tmp_path: Path) -> None:
    story = story_of(tmp_path, verdict={"result": "passed", "reasons": []}, comparisons=[comparison("better")])

    assert advise(story)[0].title == "Release it, or have it approved"
    assert headline(story) == "The gate passed."


def test_headline_without_a_gate_names_who_moved(tmp_path: Path) -> None:
    assert headline(story_of(tmp_path, comparisons=[comparison("worse")])) == "variant_1 is worse. No gate judged it."


def test_nothing_run_is_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "experiment.json").write_text(json.dumps({"id": "x"}), encoding="utf-8")

    assert headline(read_story(tmp_path)) == "Nothing was run, so nothing is known."


def test_losses_that_begin_in_one_node_are_one_thing_to_do(tmp_path: Path) -> None:
    lost = [
        {"metric": metric, "candidate": "variant_1", "dataset": "train", "by_node": [{"node": "classify", "count": 3}]}
        for metric in ("ok", "f1")
    ]

    steps = advise(story_of(tmp_path, comparisons=[comparison("worse")], regressions=lost))

    (step,) = (step for step in steps if step.title == "Look at classify")
    assert "3 of 3 for ok on train; 3 of 3 for f1 on train." in step.text
