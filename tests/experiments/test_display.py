"""Results as notebooks show them: whole, drawn, and harmless whatever a name holds."""

from __future__ import annotations

from pathlib import Path

from genaiops.experiments import ExperimentResult
from genaiops.experiments._display import interval_svg


def result(name: str = "accuracy", **figures: float | None) -> ExperimentResult:
    measured = {"value": 0.5, "low": 0.25, "high": 0.75, **figures}
    data = {
        "id": "e1",
        "status": "completed",
        "runs": [{"id": "r1", "variant_label": "defaults"}],
        "scores": [{"run": "r1", "dataset": "d", "evaluator": "e", "metrics": {name: measured}}],
        "comparisons": [],
    }
    return ExperimentResult(path=Path(), data=data)


def test_a_metric_stands_with_its_interval_in_words_and_drawn() -> None:
    page = result()._repr_html_()

    assert ">0.5</td>" in page
    assert ">0.25 to 0.75</td>" in page
    assert 'aria-label="0.5, 0.25 to 0.75"' in page


def test_a_name_is_text_whatever_it_holds() -> None:
    page = result(name="<script>alert(1)</script>")._repr_html_()

    assert "<script>" not in page


def test_what_was_not_measured_says_so_and_is_not_drawn() -> None:
    page = result(value=None, low=None, high=None)._repr_html_()

    assert "not measured" in page
    assert "<svg" not in page


def test_an_interval_is_drawn_in_proportion_to_its_scale() -> None:
    drawn = interval_svg(0.0, 0.5, 1.0, start=0.0, end=1.0)

    assert "M4.0 9.0H196.0" in drawn  # 200 wide with 4 of room at both edges
    assert 'cx="100.0"' in drawn


def test_a_verdict_stands_with_its_reasons_and_the_default_variant_is_marked() -> None:
    data = {**result().data, "verdict": {"result": "failed", "reasons": ["too <low>"]}}
    data["runs"] = [{"id": "r1", "variant_label": "defaults", "is_baseline": True, "rows": {"total": 7}}]

    page = ExperimentResult(path=Path(), data=data)._repr_html_()

    assert "gate failed" in page
    assert "too &lt;low&gt;" in page
    assert "defaults (default)" in page
    assert "1 runs, 7 rows" not in page  # one run is one run
    assert "1 run, 7 rows" in page


def test_what_an_alert_found_in_production_is_shown_with_its_reasons() -> None:
    found = result()
    found.data["alert"] = {"result": "failed", "words": "quality <fell>", "reasons": ["accuracy −0.2"]}

    page = found._repr_html_()

    assert "quality &lt;fell&gt;" in page
    assert "<li>accuracy −0.2</li>" in page
