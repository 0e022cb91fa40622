"""The page: what it says, what it weighs, and what cannot happen in it."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
import zlib
from itertools import pairwise
from pathlib import Path
from shutil import which

import pytest

from genaiops.reports import write_reports
from tests.reports.html_reading import read_page
from tests.reports.sample import Sample, write_sample

BROWSER = which("chromium") or which("chromium-browser") or which("google-chrome")


def packed_rows(file: Path) -> dict[str, object]:
    page = read_page(file)
    (block,) = ((found, text) for tag, found, text in page.blocks if found.get("type") == "application/json")
    text = block[1]
    if block[0]["data-encoding"] == "deflate":
        text = zlib.decompress(base64.b64decode(text)).decode("utf-8")
    found = json.loads(text)
    assert isinstance(found, dict)
    return found


def test_verdict_stands_at_the_top_in_words(reports: Path) -> None:
    words = read_page(reports / "report.html").words

    assert words.index("The gate failed.") < words.index("What to do next") < words.index("Variants compared")
    assert "but its interval reaches below" in words[: words.index("What to do next")]


def test_figures_of_the_experiment_are_on_the_page(experiment: Path, reports: Path) -> None:
    words = read_page(reports / "report.html").words
    result = json.loads((experiment / "experiment.json").read_text())

    for score in result["scores"]:
        for form in score["metrics"].values():
            assert f"{form['value']:.3f}" in words
    assert "360" in words  # rows of all runs
    assert "4be1f0c9d2a7" in words
    assert "Changes below 0.069 cannot be seen here" in words


def test_rows_are_inlined_for_search(reports: Path) -> None:
    found = packed_rows(reports / "report.html")

    assert isinstance(found["rows"], list)
    assert len(found["rows"]) == 120
    assert found["variants"] == ["variant_0", "variant_1", "variant_2"]
    assert found["scores"] == ["web_classification_flow.accuracy", "summary_quality.quality"]


def test_page_needs_no_script(reports: Path) -> None:
    page = read_page(reports / "report.html")

    assert page.counts["details"] >= 60
    assert page.counts["ins"] + page.counts["del"] > 0
    assert "The 60 rows that say most, of 120" in page.words


def test_page_asks_the_network_for_nothing(reports: Path, hostile: Path) -> None:
    for folder in (reports, hostile):
        page = read_page(folder / "report.html")
        addresses = page.attributes("src") + page.attributes("href") + page.attributes("action")
        assert all(re.match(r"^(#|[\w.%-]+$)", address) for address in addresses), addresses
        style = next(text for tag, _, text in page.blocks if tag == "style")
        assert "url(" not in style
        assert "@import" not in style
        (policy,) = (found["content"] for _, found in page.elements if found.get("http-equiv"))
        assert policy.startswith("default-src 'none'")


def test_policy_allows_exactly_this_style_and_script(reports: Path) -> None:
    page = read_page(reports / "report.html")
    (policy,) = (found["content"] for _, found in page.elements if found.get("http-equiv"))

    for tag in ("style", "script"):
        (text,) = (text for name, found, text in page.blocks if name == tag and not found.get("type"))
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


@pytest.mark.parametrize("name", ["report.html", "report-static/index.html"])
def test_hostile_texts_stay_texts(hostile: Path, name: str) -> None:
    page = read_page(hostile / name)

    assert page.counts["script"] == (2 if name == "report.html" else 0)
    assert page.counts["img"] <= 1
    assert not [attribute for _, found in page.elements for attribute in found if attribute.startswith("on")]
    assert "onerror=alert(1)" in page.words  # as text
    assert "{{7*7}}" in page.words
    for character in ("\u202e", "\x1b", "\x00"):
        assert character not in (hostile / name).read_text(encoding="utf-8")


def test_hostile_rows_survive_the_data_block(hostile: Path) -> None:
    found = json.dumps(packed_rows(hostile / "report.html"), ensure_ascii=False)

    assert "</script><script>document.title" in found
    assert "<svg onload=alert(1)>{{7*7}}{% raw %}`id`" in found


def test_all_tables_of_hostile_texts_are_escaped(hostile: Path) -> None:
    for file in hostile.glob("*.html"):
        page = read_page(file)
        assert page.counts["svg"] == 0 or file.name == "report.html"
        assert not [attribute for _, found in page.elements for attribute in found if attribute.startswith("on")]


def test_page_can_be_used_with_a_screen_reader_and_a_keyboard(reports: Path) -> None:
    page = read_page(reports / "report.html")

    for landmark in ("header", "nav", "main", "footer", "h1"):
        assert page.counts[landmark] == 1, landmark
    assert all("scope" in found for tag, found in page.elements if tag == "th")
    named = {found["id"] for _, found in page.elements if "id" in found}
    assert set(page.attributes("aria-labelledby")) <= named
    for tag, found in page.elements:
        if tag == "svg":
            assert found.get("aria-label") or found.get("aria-hidden") == "true"
        if "scroll" in found.get("class", "").split():
            assert found["tabindex"] == "0"
            assert found["aria-label"]
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert len(page.attributes("id")) == len(named)
    links = {address[1:] for address in page.attributes("href") if address.startswith("#") and "row-" not in address}
    assert links <= named


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_colours_have_the_contrast_that_wcag_asks_for(reports: Path) -> None:
    """4.5 : 1 for text, light and dark, on every ground that it stands on."""
    style = (reports / "report-static" / "style.css").read_text(encoding="utf-8")
    blocks = re.findall(r":root[^{]*\{([^}]*--paper[^}]*)\}", style)
    assert len(blocks) == 3
    for block in blocks:
        colours = dict(re.findall(r"--([\w-]+):\s*(#[0-9a-f]{6})\b", block))
        for ink in ("ink", "soft", "accent", "better", "fine", "worse", "unsure"):
            for ground in ("paper", "card"):
                assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
        for tone in ("better", "fine", "worse", "unsure"):
            assert contrast(colours[tone], colours[f"wash-{tone}"]) >= 4.5, tone


def test_static_page_survives_a_policy_without_scripts_and_inline_styles(reports: Path) -> None:
    page = read_page(reports / "report-static" / "index.html")

    assert page.counts["script"] == page.counts["style"] == page.counts["button"] == 0
    assert page.attributes("style") == []
    assert page.attributes("src") == ["cost-quality.svg"]
    assert not [address for address in page.attributes("href") if address.startswith("#")]
    assert "The gate failed." in page.words


def test_single_variant_has_no_comparison_to_draw(tmp_path: Path) -> None:
    folder = write_sample(tmp_path, Sample(rows=12, variants=("variant_0",), datasets=("one",)))

    write_reports(folder, tmp_path / "r", ["page"])

    words = read_page(tmp_path / "r" / "report.html").words
    assert "Quality and price" not in words
    assert "Measured, but no gate judged it." in words


def test_recorded_and_simulated_replies_are_said_to_be(tmp_path: Path) -> None:
    folder = write_sample(tmp_path, Sample(rows=12, source="simulated"))

    write_reports(folder, tmp_path / "r", ["page", "markdown"])

    assert "No real model answered" in read_page(tmp_path / "r" / "report.html").words
    assert "**simulated replies**" in (tmp_path / "r" / "summary.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("rows", "variants", "most"), [(500, 2, 1_500_000), (1000, 3, 1_500_000)])
def test_page_of_a_thousand_rows_is_light(tmp_path: Path, rows: int, variants: int, most: int) -> None:
    """Texts that cannot be compressed, the worst case."""
    names = tuple(f"variant_{n}" for n in range(variants))
    sample = Sample(rows=rows, variants=names, datasets=("one",), text_words=60, gibberish=True)
    folder = write_sample(tmp_path, sample)

    write_reports(folder, tmp_path / "r", ["page"])

    assert (tmp_path / "r" / "report.html").stat().st_size <= most
    found = packed_rows(tmp_path / "r" / "report.html")
    assert isinstance(found["rows"], list)
    assert len(found["rows"]) == rows


def test_page_of_ten_thousand_rows_is_drawn_quickly(tmp_path: Path) -> None:
    """At most 8 MB; 3 s on a quiet machine, so 5 s of processor time here, where others work too."""
    folder = write_sample(tmp_path, Sample(rows=10_000, variants=("variant_0",), datasets=("one",), text_words=30))
    code = (
        "import sys; from pathlib import Path; from genaiops.reports import write_reports\n"
        "write_reports(Path(sys.argv[1]), Path(sys.argv[2]), ['page'])"
    )

    before = os.times()
    subprocess.run([sys.executable, "-c", code, str(folder), str(tmp_path / "r")], check=True, timeout=110)
    after = os.times()

    # Processor time: the clock on the wall also measures what else the machine does.
    assert after.children_user + after.children_system - before.children_user - before.children_system < 5
    assert (tmp_path / "r" / "report.html").stat().st_size <= 8_000_000


def test_drawing_loads_no_numeric_library(experiment: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from genaiops.reports import write_reports\n"
        "write_reports(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "assert not {'numpy', 'scipy', 'rich', 'openai'} & set(sys.modules)"
    )

    subprocess.run([sys.executable, "-c", code, str(experiment), str(tmp_path / "r")], check=True, timeout=60)


def dump(file: Path, profile: Path, anchor: str = "") -> str:
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync"]  # fmt: skip
    command = [str(BROWSER), *flags, f"--user-data-dir={profile}", "--virtual-time-budget=5000", "--dump-dom"]
    found = subprocess.run(
        [*command, file.as_uri() + anchor], capture_output=True, text=True, timeout=90, check=False, encoding="utf-8"
    )
    return found.stdout


@pytest.mark.skipif(BROWSER is None, reason="needs chromium")
def test_script_draws_the_rows_in_a_real_browser(reports: Path, tmp_path: Path) -> None:
    anchors = packed_rows(reports / "report.html")["anchors"]
    assert isinstance(anchors, list)

    page = dump(reports / "report.html", tmp_path, f"#row-{anchors[0]}-7")

    assert re.search(r">\d+–\d+ of 120<", page)
    assert 'id="static-rows"' not in page
    assert page.count('aria-expanded="true"') == 1
    assert f'<tr id="row-{anchors[0]}-7" class="open">' in page


@pytest.mark.skipif(BROWSER is None, reason="needs chromium")
def test_nothing_of_a_hostile_page_runs_in_a_real_browser(hostile: Path, tmp_path: Path) -> None:
    page = dump(hostile / "report.html", tmp_path)

    assert "<title>web_classification · not judged</title>" in page
    assert "1–25 of 30" in page


@pytest.mark.skipif(BROWSER is None, reason="needs chromium")
def test_compressed_rows_are_unpacked_in_a_real_browser(tmp_path: Path) -> None:
    folder = write_sample(tmp_path, Sample(rows=700, variants=("variant_0", "variant_1"), datasets=("one",)))
    write_reports(folder, tmp_path / "r", ["page"])

    page = dump(tmp_path / "r" / "report.html", tmp_path / "profile")

    assert 'data-encoding="deflate"' in page
    assert "1–25 of 700" in page


def edited(folder: Path, **changes: object) -> Path:
    file = folder / "experiment.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}), encoding="utf-8")
    return folder


def test_ties_prices_and_confirmations_are_told(tmp_path: Path) -> None:
    folder = write_sample(tmp_path, Sample(rows=30, datasets=("one",)))
    comparison = {
        "metric": "accuracy", "evaluator": "web_classification_flow", "dataset": "one", "candidate": "variant_1",
        "verdict": "cannot tell", "needed_rows": 340, "pairs": 30, "difference": 0.02, "low": -0.1, "high": 0.14,
        "certainty": {"rows": 310, "cost_usd": 0.84, "duration_s": 240.0},
    }  # fmt: skip
    winner = {"metric": "accuracy", "evaluator": "web_classification_flow", "dataset": "one", "best": "variant_1",
              "tied": ["variant_1", "variant_0"], "shrunk": 0.861, "optimism": 0.02}  # fmt: skip
    held_out = {"metric": "accuracy", "candidate": "variant_1", "verdict": "not worse", "pairs": 77, "difference": 0.01}
    edited(folder, comparisons=[comparison], winners=[winner], confirmation=[held_out])

    write_reports(folder, tmp_path / "r", ["page"])

    words = read_page(tmp_path / "r" / "report.html").words
    assert "310 more rows would tell: $0.84, 4 min" in words
    assert (
        "Best: variant_1, statistically tied with variant_0; without the luck of being the best of 3: 0.861." in words
    )
    assert "Confirmed on rows that did not choose the winner" in words
    assert "● not worse" in words


def test_unfinished_experiments_say_so_first(tmp_path: Path) -> None:
    folder = edited(write_sample(tmp_path, Sample(rows=5)), status="interrupted")

    write_reports(folder, tmp_path / "r", ["page"])

    words = read_page(tmp_path / "r" / "report.html").words
    assert words.index("It was interrupted before its end") < words.index("Rows run")


def test_rows_that_lost_are_found_by_the_applications_dataset(tmp_path: Path) -> None:
    """Metrics are measured on the evaluator's dataset, rows belong to the application's."""
    folder = write_sample(tmp_path, Sample(rows=50))
    result = json.loads((folder / "experiment.json").read_text())
    for score in result["scores"]:
        score["run_dataset"] = score["dataset"]
        score["dataset"] += "_eval"
    result["regressions"][0]["dataset"] += "_eval"
    edited(folder, **result)

    write_reports(folder, tmp_path / "r", ["page"])

    page = read_page(tmp_path / "r" / "report.html")
    rows = {found["id"] for tag, found in page.elements if tag == "details" and found.get("class") == "row"}
    links = {address[1:] for address in page.attributes("href") if address.startswith("#row-")}
    assert links & rows
    assert {link.rsplit("-", 1)[0] for link in links} <= {row.rsplit("-", 1)[0] for row in rows}


def test_each_variant_is_told_against_the_default_before_any_table(experiment: Path, reports: Path) -> None:
    words = read_page(reports / "report.html").words
    result = json.loads((experiment / "experiment.json").read_text())

    top = words[: words.index("Rows run")]
    for each in result["comparisons"]:
        moved = f"{abs(each['difference']):.3f}"
        assert each["candidate"] in top
        assert f"{moved} on {each['dataset']}" in top


def test_figures_without_an_interval_share_a_table_and_are_never_compared(tmp_path: Path) -> None:
    folder = write_sample(tmp_path, Sample(rows=20, datasets=("one",), variants=("variant_0", "variant_1")))
    result = json.loads((folder / "experiment.json").read_text())
    for place, score in enumerate(each for each in result["scores"] if each["evaluator"] == "summary_quality"):
        for name in ("f1_news", "f1_shop"):
            score["metrics"][name] = {"value": 0.25 + 0.5 * place, "low": None, "high": None, "rows": 20,
                                      "failed": 0, "kind": "aggregate", "higher_is_better": True}  # fmt: skip
    edited(folder, **result)

    write_reports(folder, tmp_path / "r", ["page"])

    page = read_page(tmp_path / "r" / "report.html")
    tables = [found for tag, found in page.elements if tag == "table" and found.get("class") == "figures"]
    assert len(tables) == 1
    assert "f1_news one 0.250 0.750 +0.500 f1_shop one 0.250 0.750 +0.500" in page.words


def test_without_a_price_the_chart_shows_tokens_and_never_the_time_of_recordings(tmp_path: Path) -> None:
    folder = write_sample(tmp_path, Sample(rows=20, datasets=("one",), source="recorded", failing=0))
    result = json.loads((folder / "experiment.json").read_text())
    edited(folder, cost_usd=None, runs=[{**run, "cost_usd": None} for run in result["runs"]])

    write_reports(folder, tmp_path / "r", ["page"])

    words = read_page(tmp_path / "r" / "report.html").words
    assert "against tokens of a row" in words
    assert "median time" not in words
    assert "no price known" in words


def test_repeats_stand_below_their_variant(tmp_path: Path) -> None:
    folder = write_sample(tmp_path, Sample(rows=12, datasets=("one",), variants=("variant_0", "variant_1")))
    result = json.loads((folder / "experiment.json").read_text())
    again = [{**run, "id": f"{run['id']}_again", "repeat": 1} for run in result["runs"]]
    scores = [{**score, "run": f"{score['run']}_again"} for score in result["scores"]]
    edited(folder, runs=[*result["runs"], *again], scores=[*result["scores"], *scores])

    write_reports(folder, tmp_path / "r", ["page"])

    words = read_page(tmp_path / "r" / "report.html").words
    table = words[words.index("Variants compared") :]
    places = [table.index(name) for name in ("variant_0 default", "variant_0 · repeat 2", "variant_1 ")]
    assert places == sorted(places)
    assert table.index("variant_1 · repeat 2") > places[2]
    assert "the mean of repeats is compared" in table


def test_repeats_that_are_copies_are_said_to_show_no_noise(tmp_path: Path) -> None:
    message = "Where the recording holds one reply to a request, the repeats of its rows are copies <b>."
    finding = {"severity": "warning", "code": "recorded-repeats", "message": message, "file": None, "line": None}
    folder = edited(write_sample(tmp_path, Sample(rows=12, datasets=("one",))), findings=[finding])

    write_reports(folder, tmp_path / "r")

    words = read_page(tmp_path / "r" / "report.html").words
    assert "These repeats are copies of recorded replies, so the noise is larger than it seems." in words
    assert message in words
    assert "the repeats of its rows are copies \\<b\\>." in (tmp_path / "r" / "comment.md").read_text(encoding="utf-8")
