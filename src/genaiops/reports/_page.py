"""The page: one file that opens anywhere, or the same for a server that allows neither scripts nor inline styles."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from markupsafe import Markup

import genaiops.reports._format as formats
from genaiops.plain_text import plain, plural
from genaiops.reports._advice import advise, headline, tone
from genaiops.reports._alert import alert_view, margin_words
from genaiops.reports._diff import word_diff
from genaiops.reports._packing import Packed, dataset_anchor, pack_rows, telling
from genaiops.reports._story import Cell, Row, Story, label
from genaiops.reports._views import (
    TONES,
    certainty_text,
    cost_quality,
    figure_tables,
    metric_tables,
    node_lines,
    regression_lines,
    segment_tables,
    standings,
)

PAGE_BYTES: Final = 1_400_000
"""What a page of up to 1,000 rows may weigh, and how much more each further row adds."""
ROW_BYTES: Final = 640
MOST_BYTES: Final = 7_600_000
MOST_STATIC_ROWS: Final = 60
"""Rows that are written out for readers without JavaScript."""

_ASSETS: Final = files("genaiops.reports").joinpath("assets")

_PLACE: Final = tuple(Markup(f"\0{name}\0") for name in ("encoding", "cut", "rows"))  # noqa: S704 - constants, in which nobody else has a word
"""Where the page's block of rows is filled in."""

SOURCES: Final = {
    "live": ("Live model", "All replies came from a live model."),
    "recorded": ("Recorded replies", "The replies were played back from a recording, not asked for again."),
    "simulated": ("Simulated model", "No real model answered: the figures say nothing about one."),
    "mixed": ("Mixed replies", "Some replies were live, some recorded or simulated."),
}
VERDICTS: Final = {"better": "▲ better", "not worse": "● not worse", "worse": "▼ worse", "cannot tell": "? cannot tell"}
CHANGES: Final = {
    "failed": "✕ failed",
    "worse": "▼ worse",
    "better": "▲ better",
    "changed": "≠ changed",
    "missed": "○ missed",
    "same": "= same",
}


def write_page(story: Story, content: Mapping[str, Any], file: Path, *, links: Mapping[str, str]) -> Path:
    """Write the self-contained page.

    Args:
        story: The experiment.
        content: What the page says, from `page_content`.
        file: Where it goes.
        links: Name -> relative address of other files of the report.

    Returns:
        The file.
    """
    style, script = _asset("report.css"), _asset("report.js")
    budget = min(MOST_BYTES, PAGE_BYTES + ROW_BYTES * max(0, story.total_rows - 1000))
    shell = _render(content, links, style=style, script=script, static=False)
    size = len(_fill(shell, Packed("", "json", 0, 0)).encode("utf-8", "replace"))
    packed = pack_rows(story, budget=max(200_000, budget - size))
    file.write_text(_fill(shell, packed), encoding="utf-8", errors="replace")
    return file


def write_static_pages(content: Mapping[str, Any], folder: Path, *, links: Mapping[str, str]) -> list[Path]:
    """Write the page without script and without inline style: `index.html`, `style.css` and charts as `.svg`.

    It survives `sandbox; default-src 'none'; img-src 'self'; style-src 'self'`, the policy that Jenkins sends with
    every file it serves.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chart = content["chart"]
    written = []
    if chart is not None:
        written.append(folder / "cost-quality.svg")
        written[0].write_text(f'<?xml version="1.0" encoding="UTF-8"?>\n{chart}\n', encoding="utf-8", errors="replace")
    (folder / "style.css").write_text(_asset("report.css"), encoding="utf-8")
    text = _render(content, links, style="", script="", static=True)
    (folder / "index.html").write_text(text, encoding="utf-8", errors="replace")
    return [folder / "index.html", folder / "style.css", *written]


def page_content(story: Story) -> dict[str, Any]:
    """What the page says, with scripts or without."""
    shown = telling(story.rows)[:MOST_STATIC_ROWS]
    rows = sum(int((run.get("rows") or {}).get("total") or 0) for run in story.runs)
    alert, judged = alert_view(story), story.verdict.get("result") in ("passed", "failed")
    kept, calls = (int(story.result.get(key) or 0) for key in ("kept", "model_calls"))
    return {
        "story": story,
        "result": story.result,
        "verdict": story.verdict,
        "headline": headline(story),
        "tone": tone(story),
        "standing": _standing(story.verdict),
        "alert": alert,
        "judged": judged,
        "reasons": _reasons(story.verdict) if judged or alert is None else alert.reasons,
        "advice": advise(story),
        "source": SOURCES.get(str(story.result.get("source"))) if kept or calls else None,
        "outcomes": rows,
        "completed": sum(int((run.get("rows") or {}).get("completed") or 0) for run in story.runs),
        "failed": sum(int((run.get("rows") or {}).get("failed") or 0) for run in story.runs),
        "kept_share": formats.percent(kept, kept + calls),
        "standings": standings(story),
        "metrics": metric_tables(story),
        "figures": figure_tables(story),
        "segments": segment_tables(story),
        "chart": cost_quality(story),
        "regressions": regression_lines(story),
        "nodes": node_lines(story),
        "shown": [_static_row(story, row) for row in shown],
        "changes": CHANGES,
        "words": VERDICTS,
        "tones": TONES,
        "evaluations": _evaluations(story),
        "copied_repeats": any(each.get("code") == "recorded-repeats" for each in story.result.get("findings", ())),
    }


def _evaluations(story: Story) -> list[dict[str, Any]]:
    """Evaluations that took something worth showing, with the variant that they scored."""
    found = [
        {**each, "variant": label(story.run(str(each.get("run"))))} for each in story.result.get("evaluations", ())
    ]
    telling = any(each.get("model_calls") or each.get("status") == "failed" for each in found)
    return found if telling or any((each.get("rows") or {}).get("failed") for each in found) else []


def _standing(verdict: Mapping[str, Any]) -> str:
    checks = list(verdict.get("checks") or ())
    counts = {name: sum(check.get("result") == name for check in checks) for name in ("failed", "passed", "not judged")}
    told = [f"{number} {name}" for name, number in counts.items() if number]
    who = f" Judged: {verdict['candidate']}." if verdict.get("candidate") else ""
    return f"Of {plural(len(checks), 'check')}, {', '.join(told)}.{who}"


def _reasons(verdict: Mapping[str, Any]) -> list[str]:
    """What failed; of a gate that passed, what it could not judge; without a gate, why there is no verdict."""
    checks = list(verdict.get("checks") or ())
    failed = [str(check.get("words")) for check in checks if check.get("result") == "failed"]
    open_ones = [str(check.get("words")) for check in checks if check.get("result") == "not judged"]
    return failed or (open_ones if checks else [str(reason) for reason in verdict.get("reasons") or ()])


def _static_row(story: Story, row: Row) -> dict[str, Any]:
    before = row.cells.get(story.baseline or "")
    cells = [
        _static_cell(name, row.cells[name], None if row.cells[name] is before else before)
        for name in story.variants
        if name in row.cells
    ]
    first = next(iter(row.inputs.values()), "")
    return {
        "id": row_anchor(row.dataset, row.number),
        "row": row,
        "about": formats.value_text(first, 90),
        "inputs": [(name, formats.value_text(value, 500)) for name, value in row.inputs.items()],
        "cells": cells,
    }


def _static_cell(name: str, cell: Cell, before: Cell | None) -> dict[str, Any]:
    outputs = []
    for key, value in cell.outputs.items():
        text = formats.value_text(value, 500)
        other = formats.value_text(before.outputs[key], 500) if before and key in before.outputs else None
        outputs.append((key, word_diff(other, text) if other is not None else None, text, other == text))
    nodes = [
        (node, form, formats.value_text(form.get("output"), 160), _differs(node, form, before))
        for node, form in cell.nodes.items()
    ]
    return {"variant": name, "cell": cell, "outputs": outputs, "nodes": nodes}


def _differs(node: str, form: Mapping[str, Any], before: Cell | None) -> bool:
    return before is not None and node in before.nodes and before.nodes[node].get("output") != form.get("output")


def row_anchor(dataset: str, number: int) -> str:
    """The id of a row in the page."""
    return f"row-{dataset_anchor(dataset)}-{number}"


def _render(content: Mapping[str, Any], links: Mapping[str, str], *, style: str, script: str, static: bool) -> str:
    """The page without its rows: how much room they have is known only then."""
    return str(
        _template().render(
            **content,
            links=links,
            static=static,
            place=_PLACE,
            style=Markup(style),  # noqa: S704 - our own files
            script=Markup(script),  # noqa: S704
            style_hash=_hash(style),
            script_hash=_hash(script),
        )
    )


def _fill(shell: str, packed: Packed) -> str:
    """Put the rows in. Their block stands behind all that users and models wrote: the last place is the right one."""
    filling = (packed.encoding, str(packed.cut_at), packed.text)  # base64, or JSON in which <, > and & are escapes
    for place, text in zip(reversed(_PLACE), reversed(filling), strict=True):
        before, _, after = shell.rpartition(place)
        shell = f"{before}{text}{after}"
    return shell


def get_ready() -> None:
    """Load the page's template now, and compile it if need be; the first report would wait for it."""
    _template()


@cache
def _template() -> Any:
    """The page's template. Values of users and of models are data here, escaped by default, and never a template.

    What an experiment's record lacks is left empty: records of other versions are drawn too.
    """
    from jinja2 import BaseLoader, ChainableUndefined, Environment

    from genaiops.reports._compiled import load_template

    environment = Environment(
        loader=BaseLoader(), autoescape=True, undefined=ChainableUndefined, trim_blocks=True, lstrip_blocks=True
    )
    names = (
        "number",
        "metric",
        "signed",
        "between",
        "percent",
        "count",
        "money",
        "duration",
        "p_value",
        "value_text",
        "breakable",
        "told",
    )
    environment.filters.update({name: getattr(formats, name) for name in names})
    environment.filters.update(certainty_text=certainty_text, margin_words=margin_words, plural=plural)
    environment.globals.update(row_anchor=row_anchor)
    # Text that reaches the page as a plain variable: without characters that hide or reorder what follows.
    environment.finalize = lambda value: plain(value) if type(value) is str else value
    name = "report.html.j2"
    return load_template(environment, str(_ASSETS.joinpath(name)), _asset(name))


@cache
def _asset(name: str) -> str:
    return _ASSETS.joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
