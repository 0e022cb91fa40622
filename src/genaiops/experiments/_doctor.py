"""The health of evaluation data: doubles, contradictions, leaks, rows that tell nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from genaiops.datasets import Row, read_rows
from genaiops.experiments._result import ExperimentResult
from genaiops.flows import Finding
from genaiops.plain_text import plural

_LISTED = 5
_NEAR = 95.0
_MOST_FOR_NEAR = 2_000
_LEAST_TEXT = 25
_FEW = 30
_PROMPT_FILES = ("*.jinja2", "*.prompty", "*.md", "*.py")


def examine_data(
    path: Path,
    *,
    labels: Sequence[str] = (),
    others: Mapping[str, Path] | None = None,
    prompts: Sequence[Path] = (),
    experiment: ExperimentResult | None = None,
    dataset: str | None = None,
) -> list[Finding]:
    """What makes an evaluation dataset tell less than it seems to.

    Args:
        path: The dataset.
        labels: Columns with what is expected; rows that agree in all others and not in these contradict each other.
        others: Further datasets by name, such as the held-out one: rows that stand in both have leaked.
        prompts: Folders of flows: a row whose text stands in a prompt is an example that the model has seen.
        experiment: An experiment on this data: rows that every variant passes, or fails, tell nothing.
        dataset: Its name in that experiment.

    Raises:
        DataError: The dataset cannot be read.
    """
    rows = list(read_rows(path, on_bad_row="skip"))
    found = [*_size(rows, path), *_doubles(rows, path, labels), *_empty(rows, path), *_near_doubles(rows, path)]
    for name, other in (others or {}).items():
        found += _shared(rows, path, name, other)
    found += _in_prompts(rows, path, prompts)
    if experiment is not None:
        found += _silent_rows(experiment, dataset, path)
    return found


def _size(rows: Sequence[Row], path: Path) -> Iterator[Finding]:
    if len(rows) < _FEW:
        # 3/n: the rule of three for the upper 95 % bound of a rate that was never seen.
        bound = 3 / max(1, len(rows))
        message = (
            f"The dataset has {plural(len(rows), 'row')}: even without one failure the true rate may be {bound:.0%}."
        )
        yield _finding("few-rows", message, path, None, "Add rows until the intervals are as narrow as you need.")


def _doubles(rows: Sequence[Row], path: Path, labels: Sequence[str]) -> Iterator[Finding]:
    whole: dict[str, Row] = {}
    asked: dict[str, Row] = {}
    for row in rows:
        text = _text(row.values)
        if text in whole:
            yield _finding(
                "double", f"The row is the same as line {whole[text].line}.", path, row.line, "Take one out."
            )
            continue
        whole[text] = row
        question = _text({key: value for key, value in row.values.items() if key not in labels})
        earlier = asked.setdefault(question, row)
        if labels and earlier is not row:
            message = f"The row asks the same as line {earlier.line} and expects something else."
            yield _finding("contradiction", message, path, row.line, "Decide which label is right.")


def _empty(rows: Sequence[Row], path: Path) -> Iterator[Finding]:
    columns = list(dict.fromkeys(name for row in rows for name in row.values))
    for column in columns:
        lines = [row.line for row in rows if row.values.get(column) in (None, "", [], {})]
        if lines and len(lines) < len(rows):
            message = f"{_rows(lines, 'has', 'have')} no value in {column!r}."
            yield _finding("empty-values", message, path, lines[0], None)


def _near_doubles(rows: Sequence[Row], path: Path) -> Iterator[Finding]:
    """Rows whose texts differ in a few letters; only for datasets small enough to compare each with each."""
    if not 1 < len(rows) <= _MOST_FOR_NEAR:
        return
    from rapidfuzz import fuzz, process

    texts = [_words(row.values) for row in rows]
    near: list[tuple[int, int]] = []
    for index, text in enumerate(texts):
        if len(text) < _LEAST_TEXT:
            continue
        hits = process.extract(text, texts[:index], scorer=fuzz.ratio, score_cutoff=_NEAR, limit=1)
        near += [(hits[0][2], index)] if hits and hits[0][1] < 100 else []
    for first, second in near[:_LISTED]:
        message = f"The row is nearly the same as line {rows[first].line}."
        yield _finding("near-double", message, path, rows[second].line, None)
    if len(near) > _LISTED:
        yield _finding(
            "near-double",
            f"{_rows(near[_LISTED:], 'is', 'are', 'more row')} nearly the same as others.",
            path,
            None,
            None,
        )


def _shared(rows: Sequence[Row], path: Path, name: str, other: Path) -> Iterator[Finding]:
    texts = {_text(row.values) for row in read_rows(other, on_bad_row="skip")}
    lines = [row.line for row in rows if _text(row.values) in texts]
    if lines and other.resolve() != path.resolve():
        message = f"{_rows(lines, 'stands', 'stand')} in {name} too."
        yield _finding("leak", message, path, lines[0], "What is held out must not be used to choose.")


def _in_prompts(rows: Sequence[Row], path: Path, folders: Iterable[Path]) -> Iterator[Finding]:
    for folder in folders:
        files = [file for pattern in _PROMPT_FILES for file in sorted(folder.rglob(pattern))]
        for file in files:
            text = " ".join(file.read_text(encoding="utf-8", errors="replace").split())
            lines = [row.line for row in rows if any(value in text for value in _long_texts(row.values))]
            if lines:
                message = (
                    f"{_rows(lines, 'has', 'have')} a text that stands in {file.name}: the model has seen the answer."
                )
                yield _finding("example-in-prompt", message, path, lines[0], "Use other rows as examples.")


def _silent_rows(experiment: ExperimentResult, dataset: str | None, path: Path) -> Iterator[Finding]:
    """Rows on which every variant got the best score, or the worst: they cannot tell variants apart."""
    scores: dict[str, dict[int, list[float]]] = {}
    for line in experiment.row_scores():
        if dataset in (None, line.get("dataset")):
            for name, value in line["scores"].items():
                if value in (0.0, 1.0):
                    scores.setdefault(f"{line['evaluator']}.{name}", {}).setdefault(int(line["row"]), []).append(value)
    for name, rows in scores.items():
        variants = max(map(len, rows.values()), default=0)
        if variants < 2:
            continue
        failed = sorted(row for row, values in rows.items() if len(values) == variants and not any(values))
        passed = sum(len(values) == variants and all(values) for values in rows.values())
        if passed == len(rows):
            message = f"Every variant passes every row of {name}: the data cannot tell them apart."
            yield _finding("too-easy", message, path, None, "Add harder rows.")
        elif failed:
            listed = ", ".join(map(str, failed[:_LISTED]))
            fail = _rows(failed, "fails", "fail")
            message = f"{fail} with every variant in {name} (row {listed}): look at the labels."
            yield _finding("always-fails", message, path, None, None)


def _text(values: Mapping[str, Any]) -> str:
    return json.dumps(values, sort_keys=True, ensure_ascii=False, default=str)


def _words(values: Mapping[str, Any]) -> str:
    return " ".join(str(value) for _, value in sorted(values.items()))


def _long_texts(values: Mapping[str, Any]) -> list[str]:
    texts = [" ".join(value.split()) for value in values.values() if isinstance(value, str)]
    return [text for text in texts if len(text) >= _LEAST_TEXT]


def _finding(code: str, message: str, path: Path, line: int | None, hint: str | None) -> Finding:
    return Finding(severity="warning", code=code, message=message, file=str(path), line=line, hint=hint)


def _rows(found: Sequence[Any], one: str, many: str, noun: str = "row") -> str:
    """So many rows, with their verb."""
    return f"{plural(len(found), noun)} {one if len(found) == 1 else many}"
