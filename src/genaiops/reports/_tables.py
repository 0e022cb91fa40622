"""The result and metrics tables that the template's users know, as CSV and HTML, each number on its own row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import chain, islice
from pathlib import Path
from typing import Any

from genaiops.reports._outcomes import Outcomes
from genaiops.reports._sheets import Block, Forms, Sheet, safe_name, safe_text
from genaiops.reports._story import Story, label


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
    forms = Forms(folder, as_csv=as_csv, as_html=as_html)
    _write_runs(story, names, forms)
    for (kind, name), stem in names.items():
        if kind == "evaluator":
            _write_evaluations(story, name, stem, forms)
        _write_metrics(story, (kind, name), stem, forms)
    return [file for what in ("result", "metrics") for stem in names.values() for file in forms.files(stem, what)]


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


def _write_runs(story: Story, names: Mapping[tuple[str, str], str], forms: Forms) -> None:
    """The tables of the experiment and of its datasets, in one pass: a row of a run stands in both."""
    with ExitStack() as stack:

        def sheet(kind: str, name: str, runs: Sequence[Mapping[str, Any]]) -> Sheet:
            return stack.enter_context(forms.sheet(names[kind, name], "result", name, _run_columns(story, runs)))

        whole = sheet("experiment", story.name, story.runs)
        parts = {
            name: sheet("dataset", name, [run for run in story.runs if str(run.get("dataset")) == name])
            for name in story.datasets
        }
        for run in story.runs:
            part = parts[str(run.get("dataset"))]
            for rows in _batches(_run_rows(story, run, whole.columns)):
                block = Block(rows, whole.columns)
                whole.add(block)
                part.add(block if part.columns == whole.columns else Block(rows, part.columns))


def _write_evaluations(story: Story, evaluator: str, stem: str, forms: Forms) -> None:
    evaluations = _evaluations(story, evaluator)
    outcomes = Outcomes(story.folder)
    columns = _evaluation_columns(story, evaluator, evaluations, outcomes)
    with forms.sheet(stem, "result", evaluator, columns) as sheet:
        for evaluation in evaluations:
            for rows in _batches(_evaluation_rows(story, evaluator, evaluation, outcomes, columns)):
                sheet.add(Block(rows, columns))


def _write_metrics(story: Story, key: tuple[str, str], stem: str, forms: Forms) -> None:
    rows = list(_metric_rows(story, *key))
    columns = list(dict.fromkeys(chain.from_iterable(rows))) or ["experiment_name"]
    with forms.sheet(stem, "metrics", key[1], columns) as sheet:
        sheet.add(Block([{**_blank(columns), **_safe(row)} for row in rows], columns))


def _batches(rows: Iterable[dict[str, str]]) -> Iterator[list[dict[str, str]]]:
    """Some hundred rows at a time: never a whole table in memory, and few writes."""
    waiting = iter(rows)
    while batch := list(islice(waiting, 200)):
        yield batch


def _blank(columns: Sequence[str]) -> dict[str, str]:
    return dict.fromkeys(columns, "")


def _safe(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: safe_text(value) for name, value in values.items()}


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


def _run_rows(story: Story, run: Mapping[str, Any], columns: Sequence[str]) -> Iterator[dict[str, str]]:
    same = {**_blank(columns), **_safe(_about(story, run))}
    run_id = str(run.get("id"))
    for line in story.outcomes.of(run):
        row = same.copy()
        _put_outcome(row, line)
        for name, value in story.scores.get((run_id, int(line["row"])), {}).items():
            row[name] = safe_text(value)
        tokens = line.get("tokens") or {}
        row["duration_s"] = safe_text(line.get("duration_s"))
        row["tokens"] = safe_text((tokens.get("input") or 0) + (tokens.get("output") or 0))
        row["kept_nodes"] = str(sum([bool(node.get("kept")) for node in (line.get("nodes") or {}).values()]))
        yield row


def _evaluations(story: Story, evaluator: str) -> list[Mapping[str, Any]]:
    listed = [each for each in story.result.get("evaluations", ()) if each.get("evaluator") == evaluator]
    # Plain Python evaluators may leave no run of their own: their scores are still in the experiment's file.
    evaluated = {each.get("run") for each in listed}
    scores = [each for each in story.result.get("scores", ()) if each.get("evaluator") == evaluator]
    return [*listed, *(each for each in scores if each.get("run") not in evaluated)]


def _evaluation_columns(
    story: Story, evaluator: str, evaluations: Sequence[Mapping[str, Any]], outcomes: Outcomes
) -> list[str]:
    runs = [story.run(str(each.get("run"))) for each in evaluations]
    about = chain.from_iterable(_about(story, run) for run in runs)
    inputs: dict[str, None] = {}
    outputs: dict[str, None] = {}
    for evaluation in evaluations:
        for line in outcomes.of(evaluation) if evaluation.get("path") else ():
            inputs.update(dict.fromkeys(line.get("inputs") or {}))
            outputs.update(dict.fromkeys(line.get("outputs") or {}))
            line.pop("nodes", None)  # stands in no table
    columns = [*(f"inputs.{name}" for name in inputs), *(f"outputs.{name}" for name in outputs)]
    scores = _score_columns(story, evaluator).values()
    names = [*about, "flow_name", "eval_run", "inputs.line_number", "status", *columns, *scores, "error"]
    return list(dict.fromkeys(names))


def _evaluation_rows(
    story: Story, evaluator: str, evaluation: Mapping[str, Any], outcomes: Outcomes, columns: Sequence[str]
) -> Iterator[dict[str, str]]:
    run_id = str(evaluation.get("run"))
    about = {**_about(story, story.run(run_id)), "dataset": evaluation.get("dataset"), "exp_run": run_id}
    about |= {"flow_name": evaluator, "eval_run": evaluation.get("id")}
    same = {**_blank(columns), **_safe(about)}
    score_columns = _score_columns(story, evaluator)
    done: set[int] = set()
    for line in outcomes.of(evaluation) if evaluation.get("path") else ():
        done.add(int(line["row"]))
        row = same.copy()
        _put_outcome(row, line)
        yield row | _scores(story.scores.get((run_id, int(line["row"])), {}), score_columns)
    for number in story.scored_rows.get(run_id, ()):
        if number not in done and (scores := _scores(story.scores[run_id, number], score_columns)):
            yield {**same, "inputs.line_number": str(number), "status": "completed", **scores}


def _score_columns(story: Story, evaluator: str) -> dict[str, str]:
    """The scores of an evaluator -> their columns in its own table."""
    prefix = f"{evaluator}."
    return {name: name.removeprefix(prefix) for name in story.score_names if name.startswith(prefix)}


def _scores(found: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, str]:
    return {column: safe_text(found[name]) for name, column in columns.items() if name in found}


def _put_outcome(row: dict[str, str], line: Mapping[str, Any]) -> None:
    row["inputs.line_number"] = safe_text(line["row"])
    row["status"] = safe_text(line.get("status"))
    for name, value in (line.get("inputs") or {}).items():
        row[f"inputs.{name}"] = safe_text(value)
    for name, value in (line.get("outputs") or {}).items():
        row[f"outputs.{name}"] = safe_text(value)
    error = line.get("error") or {}
    row["error"] = safe_text(error.get("message") if isinstance(error, Mapping) else error)


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
