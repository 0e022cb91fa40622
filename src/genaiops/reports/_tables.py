"""The result and metrics tables that the template's users know, as CSV and HTML, each number on its own row."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from html import escape
from itertools import chain
from pathlib import Path
from typing import Any, Final, TextIO

from genaiops.plain_text import plain
from genaiops.reports._reading import outcomes
from genaiops.reports._story import Story, label

MOST_HTML_ROWS: Final = 2000
"""Rows of an HTML table: beyond it a browser crawls and the CSV file is the better tool."""

_FORMULA: Final = re.compile(r"^\s*[=+\-@\t\r＝＋－＠]")
_SUSPECT: Final = frozenset("=+-@\t\r＝＋－＠")
_NUMBER: Final = re.compile(r"^\s*[+-]?\d+([.,]\d+)*([eE][+-]?\d+)?\s*$")
_RESERVED: Final = frozenset({"con", "prn", "aux", "nul"})

_HEAD: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 14px/1.45 system-ui, sans-serif; margin: 1.5rem; color: #1a1d21; background: #fff }}
h1 {{ font-size: 1.25rem }} p {{ color: #59616b; max-width: 70ch }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums }}
th, td {{ padding: .35rem .7rem; border-bottom: 1px solid #dfe3e8; text-align: left; vertical-align: top;
  white-space: pre-wrap; overflow-wrap: anywhere; min-width: 4ch; max-width: 44ch }}
th {{ position: sticky; top: 0; background: #f4f5f7; white-space: nowrap }}
@media (prefers-color-scheme: dark) {{ body {{ color: #e4e6e9; background: #15181c }} p {{ color: #a0a8b2 }}
  th {{ background: #20252b }} th, td {{ border-color: #323941 }} }}
</style></head><body><main><h1>{title}</h1><p>{note}</p>
<table><thead><tr>{columns}</tr></thead><tbody>
"""


def write_tables(story: Story, folder: Path, *, as_csv: bool = True, as_html: bool = True) -> list[Path]:
    """Write `NAME_result` and `NAME_metrics` for the experiment, each evaluator and each dataset.

    Args:
        story: The experiment.
        folder: Where the files go; it exists.
        as_csv: Write the CSV files: every row, UTF-8, cells that a spreadsheet would run are quoted.
        as_html: Write the HTML files: the first 2,000 rows.

    Returns:
        The files, in the order of experiment, evaluators, datasets.
    """
    names = _file_names(story)
    forms = _Forms(folder, as_csv=as_csv, as_html=as_html)
    with ExitStack() as stack:
        sheets = {
            key: stack.enter_context(forms.sheet(stem, "result", key[1], _columns(story, *key)))
            for key, stem in names.items()
        }
        # One pass: a row of a run stands in the experiment's table and in its dataset's.
        for row in _run_rows(story, story.runs):
            cells = sheets["experiment", story.name].add(row)
            sheets["dataset", str(row["dataset"])].add(row, like=(sheets["experiment", story.name], cells))
        for kind, name in names:
            if kind == "evaluator":
                for row in _evaluation_rows(story, name):
                    sheets[kind, name].add(row)
    for (kind, name), stem in names.items():
        metrics = list(_metric_rows(story, kind, name))
        columns = list(dict.fromkeys(chain.from_iterable(metrics))) or ["experiment_name"]
        with forms.sheet(stem, "metrics", name, columns) as sheet:
            for row in metrics:
                sheet.add(row)
    return forms.written


def safe_cell(value: Any) -> Any:
    """A value for a CSV cell; text that a spreadsheet would run as a formula gets an apostrophe in front.

    >>> safe_cell('=HYPERLINK("http://x")'), safe_cell("-3.5"), safe_cell(None), safe_cell({"a": 1})
    ('\\'=HYPERLINK("http://x")', '-3.5', '', '{"a": 1}')
    """
    if value is None:
        return ""
    kind = type(value)
    if kind is int or kind is float:
        return value
    text = value if kind is str else json.dumps(value, ensure_ascii=False, default=str)
    if text[:1].isalnum() and text.isascii() and text.isprintable():  # by far the most
        return text
    if not text.isascii():  # a lone surrogate cannot be written
        text = text.encode("utf-8", "replace").decode("utf-8")
    if "\0" in text:
        text = text.replace("\0", "")
    suspect = text[:1] in _SUSPECT or text[:1].isspace()
    return f"'{text}" if suspect and _FORMULA.match(text) and not _NUMBER.match(text) else text


def safe_name(name: str) -> str:
    """A file name from a name that a user gave: no folders, no characters that a file system refuses.

    >>> safe_name("../a:b"), safe_name("con")
    ('_a_b', '_con')
    """
    cleaned = re.sub(r"[^\w.\- ]+", "_", name).strip(". ") or "_"
    return f"_{cleaned}" if cleaned.lower().split(".")[0] in _RESERVED else cleaned[:120]


def _file_names(story: Story) -> dict[tuple[str, str], str]:
    """Distinct file stems; names that differ only in case are one file on some systems."""
    evaluators = dict.fromkeys(str(score.get("evaluator")) for score in story.result.get("scores", ()))
    wanted = [("experiment", story.name), *(("evaluator", name) for name in evaluators)]
    wanted += [("dataset", name) for name in story.datasets]
    taken: set[str] = set()
    names: dict[tuple[str, str], str] = {}
    for kind, name in wanted:
        stem = safe_name(name)
        while stem.lower() in taken:
            stem = f"{stem}_{kind}"
        taken.add(stem.lower())
        names[kind, name] = stem
    return names


def _columns(story: Story, kind: str, name: str) -> list[str]:
    if kind == "evaluator":
        return _evaluation_columns(story, name)
    return _run_columns(story, [run for run in story.runs if kind != "dataset" or str(run.get("dataset")) == name])


def _about(story: Story, run: Mapping[str, Any]) -> dict[str, Any]:
    """Which run of which variant a row belongs to, told by the run itself."""
    base = {
        "stage": story.result.get("stage") or story.result.get("env"),
        "experiment_name": story.name,
        "build": story.result.get("build_id"),
        "exp_run": run.get("id"),
        "dataset": run.get("dataset"),
        "variant": label(run),
    }
    for node, variant in (run.get("variant") or {}).items():
        base[node if node not in base else f"variant.{node}"] = variant
    for name, value in (run.get("parameters") or {}).items():
        base[name if name not in base else f"parameter.{name}"] = value
    if any(other.get("repeat") for other in story.runs):
        base["repeat"] = run.get("repeat") or 0
    return base


def _run_columns(story: Story, runs: Sequence[Mapping[str, Any]]) -> list[str]:
    about = chain.from_iterable(_about(story, run) for run in runs)
    known = [story.columns.get(str(run.get("id")), ((), ())) for run in runs]
    inputs = chain.from_iterable((f"inputs.{name}" for name in inputs) for inputs, _ in known)
    outputs = chain.from_iterable((f"outputs.{name}" for name in outputs) for _, outputs in known)
    tail = [*story.score_names, "error", "duration_s", "tokens", "kept_nodes"]
    return list(dict.fromkeys([*about, "inputs.line_number", "status", *inputs, *outputs, *tail]))


def _run_rows(story: Story, runs: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for run in runs:
        about = _about(story, run)
        for line in outcomes(story.folder, run):
            nodes = line.get("nodes") or {}
            tokens = line.get("tokens") or {}
            yield {
                **about,
                **_values(line),
                **story.scores.get((str(run.get("id")), int(line["row"])), {}),
                "duration_s": line.get("duration_s"),
                "tokens": (tokens.get("input") or 0) + (tokens.get("output") or 0),
                "kept_nodes": sum(bool(node.get("kept")) for node in nodes.values()),
            }


def _evaluations(story: Story, evaluator: str) -> list[Mapping[str, Any]]:
    listed = [each for each in story.result.get("evaluations", ()) if each.get("evaluator") == evaluator]
    # Plain Python evaluators may leave no run of their own: their scores are still in the experiment's file.
    evaluated = {each.get("run") for each in listed}
    scores = [each for each in story.result.get("scores", ()) if each.get("evaluator") == evaluator]
    return [*listed, *(each for each in scores if each.get("run") not in evaluated)]


def _evaluation_columns(story: Story, evaluator: str) -> list[str]:
    runs = [story.run(str(each.get("run"))) for each in _evaluations(story, evaluator)]
    about = chain.from_iterable(_about(story, run) for run in runs)
    inputs: dict[str, None] = {}
    outputs: dict[str, None] = {}
    for evaluation in _evaluations(story, evaluator):
        for line in outcomes(story.folder, evaluation) if evaluation.get("path") else ():
            inputs.update(dict.fromkeys(f"inputs.{name}" for name in line.get("inputs") or {}))
            outputs.update(dict.fromkeys(f"outputs.{name}" for name in line.get("outputs") or {}))
    scores = [name.removeprefix(f"{evaluator}.") for name in story.score_names if name.startswith(f"{evaluator}.")]
    names = [*about, "flow_name", "eval_run", "inputs.line_number", "status", *inputs, *outputs, *scores, "error"]
    return list(dict.fromkeys(names))


def _evaluation_rows(story: Story, evaluator: str) -> Iterator[dict[str, Any]]:
    prefix = f"{evaluator}."
    for evaluation in _evaluations(story, evaluator):
        run_id = str(evaluation.get("run"))
        about = {**_about(story, story.run(run_id)), "dataset": evaluation.get("dataset"), "exp_run": run_id}
        about |= {"flow_name": evaluator, "eval_run": evaluation.get("id")}
        lines: Iterable[Mapping[str, Any]] = outcomes(story.folder, evaluation) if evaluation.get("path") else ()
        done: set[int] = set()
        for line in lines:
            done.add(int(line["row"]))
            yield {**about, **_values(line), **_scores(story, run_id, int(line["row"]), prefix)}
        for run, row in story.scores:
            if run == run_id and row not in done and (scores := _scores(story, run, row, prefix)):
                yield {**about, "inputs.line_number": row, "status": "completed", **scores}


def _scores(story: Story, run_id: str, row: int, prefix: str) -> dict[str, Any]:
    found = story.scores.get((run_id, row), {})
    return {name.removeprefix(prefix): value for name, value in found.items() if name.startswith(prefix)}


def _values(line: Mapping[str, Any]) -> dict[str, Any]:
    error = line.get("error") or {}
    return {
        "inputs.line_number": line["row"],
        "status": line.get("status"),
        **{f"inputs.{name}": value for name, value in (line.get("inputs") or {}).items()},
        **{f"outputs.{name}": value for name, value in (line.get("outputs") or {}).items()},
        "error": error.get("message") if isinstance(error, Mapping) else error,
    }


def _metric_rows(story: Story, kind: str, name: str) -> Iterator[dict[str, Any]]:
    for score in story.result.get("scores", ()):
        run = story.run(str(score.get("run")))
        if kind == "evaluator" and score.get("evaluator") != name:
            continue
        if kind == "dataset" and run.get("dataset") != name:
            continue
        rows = run.get("rows") or {}
        values = {**_about(story, run), "dataset": score.get("dataset"), "flow_name": score.get("evaluator")}
        values |= {"rows.total": rows.get("total"), "rows.failed": rows.get("failed")}
        for metric, form in score.get("metrics", {}).items():
            values[metric] = form.get("value")
            values |= {f"{metric}.{key}": form.get(key) for key in ("low", "high", "rows", "failed")}
        yield values


class _Forms:
    """Which forms are written, and where."""

    def __init__(self, folder: Path, *, as_csv: bool, as_html: bool) -> None:
        self.folder, self.as_csv, self.as_html = folder, as_csv, as_html
        self.written: list[Path] = []

    @contextmanager
    def sheet(self, stem: str, what: str, name: str, columns: Sequence[str]) -> Iterator[_Sheet]:
        """A table that is open for rows, in each form that is wanted."""
        file = f"{stem}_{what}"
        title = f"{name}: {'results row by row' if what == 'result' else 'metrics'}"
        with ExitStack() as stack:
            sheet = _Sheet(columns)
            if self.as_csv:
                self.written.append(self.folder / f"{file}.csv")
                stream = stack.enter_context(self.written[-1].open("w", encoding="utf-8", newline=""))
                sheet.lines = csv.writer(stream)
                sheet.lines.writerow([safe_cell(column) for column in columns])
            if self.as_html:
                self.written.append(self.folder / f"{file}.html")
                sheet.page = stack.enter_context(self.written[-1].open("w", encoding="utf-8", errors="replace"))
                heads = "".join(f'<th scope="col">{escape(plain(column))}</th>' for column in columns)
                note = f"The first {MOST_HTML_ROWS:,} rows at most; {escape(file)}.csv has all of them."
                sheet.page.write(_HEAD.format(title=escape(plain(title)), note=note, columns=heads))
            yield sheet
            if sheet.page is not None:
                sheet.page.write("</tbody></table></main></body></html>\n")


class _Sheet:
    """One table in the making."""

    def __init__(self, columns: Sequence[str]) -> None:
        self.columns = list(columns)
        self.lines: Any = None
        self.page: TextIO | None = None
        self.rows = 0

    def add(self, row: Mapping[str, Any], *, like: tuple[_Sheet, list[Any]] | None = None) -> list[Any]:
        """Write a row; `like` names a table that has the same row, whose cells serve when its columns are the same."""
        if like is not None and like[0].columns == self.columns:
            cells = like[1]
        else:
            cells = [safe_cell(row.get(column)) for column in self.columns]
        if self.lines is not None:
            self.lines.writerow(cells)
        if self.page is not None and self.rows < MOST_HTML_ROWS:
            self.page.write("<tr>" + "".join(f"<td>{escape(plain(str(cell)))}</td>" for cell in cells) + "</tr>\n")
        self.rows += 1
        return cells
