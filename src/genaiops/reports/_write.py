"""All forms of one report."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from genaiops.errors import InputError, suggest
from genaiops.reports._junit import junit_report
from genaiops.reports._markdown import COMMENT_CHARACTERS, SHORT_CHARACTERS, SUMMARY_BYTES, markdown_report
from genaiops.reports._page import page_content, write_page, write_static_pages
from genaiops.reports._reading import read_story
from genaiops.reports._story import Story
from genaiops.reports._tables import write_tables

FORMATS: Final = ("csv", "html", "page", "static", "markdown", "junit", "json")
"""csv and html: the template's tables · page: `report.html` · static: `report-static/` · markdown: `summary.md`,
`comment.md`, `comment-short.md` · junit: `junit.xml` · json: `report.json`."""


def write_reports(experiment_folder: Path, report_dir: Path, formats: Iterable[str] = FORMATS) -> list[Path]:
    """Draw an experiment from its files in every form that somebody reads.

    Args:
        experiment_folder: Holds `experiment.json`.
        report_dir: Where the reports go; made when it is not there. Other files in it stay.
        formats: Which forms, of `FORMATS`.

    Returns:
        The files written, `report.html` first.

    Raises:
        InputError: A format is not known.
        DataError: The experiment's files are missing or broken.
    """
    wanted = _known(formats)
    story = read_story(experiment_folder)
    report_dir.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    if wanted & {"csv", "html"}:
        written += write_tables(story, report_dir, as_csv="csv" in wanted, as_html="html" in wanted)
    if "markdown" in wanted:
        written += _write_markdown(story, report_dir)
    if "junit" in wanted:
        written.append(_write(report_dir / "junit.xml", junit_report(story)))
    if "json" in wanted:
        written.append(
            _write(report_dir / "report.json", json.dumps(_form(story), indent=1, ensure_ascii=False) + "\n")
        )
    links = {path.name: quote(path.name) for path in written}
    content = page_content(story) if wanted & {"static", "page"} else {}
    if "static" in wanted:
        above = {name: f"../{address}" for name, address in links.items()}
        written = [*write_static_pages(content, report_dir / "report-static", links=above), *written]
    if "page" in wanted:
        written.insert(0, write_page(story, content, report_dir / "report.html", links=links))
    return written


def _known(formats: Iterable[str]) -> set[str]:
    wanted = set(formats)
    for name in sorted(wanted - set(FORMATS)):
        raise InputError(f"There is no report format {name!r}.", hint=suggest(name, FORMATS), kind="UnknownFormat")
    return wanted


def _write_markdown(story: Story, folder: Path) -> list[Path]:
    return [
        _write(folder / "summary.md", markdown_report(story, most=SUMMARY_BYTES, in_bytes=True)),
        _write(folder / "comment.md", markdown_report(story, most=COMMENT_CHARACTERS, marker=True)),
        _write(folder / "comment-short.md", markdown_report(story, most=SHORT_CHARACTERS, marker=True)),
    ]


def _form(story: Story) -> dict[str, Any]:
    """The experiment's record with the whole verdict and the whole alert: one file for other programs."""
    alert = {"alert": dict(story.alert)} if story.alert else {}
    return {**story.result, "verdict": dict(story.verdict), **alert}


def _write(file: Path, text: str) -> Path:
    file.write_text(text, encoding="utf-8", errors="replace")
    return file
