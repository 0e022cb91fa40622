"""Reports in a real browser with axe-core: light, dark, on a wide screen and a narrow one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from genaiops.gates import judge_experiment, read_policy, record_verdict
from genaiops.reports import write_reports
from tests.accessibility import barriers
from tests.browser import NO_BROWSER, find_browser, open_page
from tests.gates.folders import passes
from tests.reports.sample import Sample, write_sample
from tests.reports.test_alert import alerted

pytestmark = [
    pytest.mark.skipif(find_browser() is None, reason=NO_BROWSER),
    pytest.mark.filterwarnings("default"),
    pytest.mark.timeout(180),
]

OPEN_MANY = "[...document.querySelectorAll('details')].slice(0, 12).forEach(each => { each.open = true; }), true"
OPEN_A_ROW = "document.querySelector('.open-row').click(), !!document.querySelector('[aria-expanded=true]')"
LOOKS = [("light", 1200), ("dark", 1200), ("dark", 380)]


def found_in(file: Path, profile: Path, *steps: str) -> dict[tuple[str, int], list[str]]:
    """What axe finds in each look after the steps; looks without a finding are left out."""

    async def visit() -> dict[tuple[str, int], list[str]]:
        found = {}
        async with open_page(file.as_uri(), profile, ready="main") as page:
            for step in steps:
                await page.until(step)
            for scheme, width in LOOKS:
                await page.look(scheme=scheme, width=width)
                found[scheme, width] = await barriers(page)
            assert page.problems == []
        return {look: each for look, each in found.items() if each}

    return asyncio.run(visit())


@pytest.fixture(scope="module")
def few_rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All parts of a report with few rows: what axe does with a page grows with the square of its elements."""
    folder = write_sample(
        tmp_path_factory.mktemp("few"), Sample(rows=3, variants=("variant_0", "variant_1"), failing=0.2)
    )
    record_verdict(folder, judge_experiment(folder, read_policy({"metrics": {"accuracy": {"min": 0.75}}})))
    write_reports(folder, folder / "reports")
    return folder / "reports"


def test_the_page_has_no_barrier_that_axe_knows(few_rows: Path, tmp_path: Path) -> None:
    assert found_in(few_rows / "report.html", tmp_path, OPEN_A_ROW, OPEN_MANY) == {}


def test_the_static_page_has_none_either(few_rows: Path, tmp_path: Path) -> None:
    assert found_in(few_rows / "report-static" / "index.html", tmp_path, OPEN_MANY) == {}


@pytest.mark.parametrize("scores", [passes(48, 80), passes(15, 20)])
def test_a_page_with_an_alert_has_none_either(tmp_path: Path, scores: list[float | None]) -> None:
    folder = alerted(tmp_path, scores, passes(56, 70), gate={"metrics": {"accuracy": {"min": 0.3}}})

    assert found_in(folder / "report.html", tmp_path / "profile", OPEN_MANY) == {}


def test_names_and_texts_that_attack_make_no_barrier(hostile: Path, tmp_path: Path) -> None:
    assert found_in(hostile / "report.html", tmp_path, OPEN_A_ROW) == {}


def test_a_page_with_a_barrier_is_found_out(tmp_path: Path) -> None:
    """So that a check which finds nothing has looked."""
    bad = tmp_path / "bad.html"
    bad.write_text("<main><img src='data:,'><p style='color:#bbb;background:#fff'>pale</p><input></main>")

    found = " ".join(found_in(bad, tmp_path / "profile")["light", 1200])

    for rule in ("image-alt", "color-contrast", "label", "html-has-lang"):
        assert f"{rule}: " in found
