"""`evaluate()`: a dataset through a target and evaluators, in one call from Python."""

from __future__ import annotations

import inspect
import json
import logging
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from genaiops.compat._trace import ThreadPoolExecutorWithContext
from genaiops.errors import DataError, suggest

logger = logging.getLogger(__name__)

_WORKERS = 8
_REFERENCE = re.compile(r"^\$\{(data|target|run\.outputs|run\.inputs)\.([^{}]+)\}$")


def evaluate(
    *,
    data: str | Path,
    evaluators: Mapping[str, Callable[..., Any]],
    target: Callable[..., Any] | None = None,
    evaluation_name: str | None = None,
    evaluator_config: Mapping[str, Mapping[str, Any]] | None = None,
    output_path: str | Path | None = None,
    azure_ai_project: Any = None,
    **_: Any,
) -> dict[str, Any]:
    """Run a target over a dataset and score each row.

    Args:
        data: A JSON Lines (CSV, …) file.
        evaluators: Functions or objects by name; each gets its parameters from the row and
            gives a dictionary of scores.
        target: What answers a row; None when the answers are in the dataset.
        evaluation_name: Kept in the result.
        evaluator_config: By evaluator (or `default`), parameter to `${data.x}` or `${target.x}`, itself or under
            `column_mapping`.
        output_path: Where the result is written as JSON.
        azure_ai_project: Ignored: results stay on this machine.

    Returns:
        `{"rows": […], "metrics": {…}, "studio_url": None, "errors": […]}`; a row that could not be scored has None, is
        left out of the means and stands in `errors`.

    Raises:
        DataError: The file has no rows, or a mapping names a column that is not there.
    """
    from genaiops.datasets import read_rows

    rows = [dict(row.values) for row in read_rows(Path(data))]
    if not rows:
        raise DataError("The dataset has no rows.", file=str(data))
    errors: list[dict[str, Any]] = []
    answers = _run_target(target, rows, errors)
    scores = {
        name: _run_evaluator(name, evaluator, _mapping(evaluator_config, name), rows, answers, errors)
        for name, evaluator in evaluators.items()
    }
    result: dict[str, Any] = {
        "rows": [_row(index, rows, answers, scores) for index in range(len(rows))],
        "metrics": _metrics(scores),
        "studio_url": None,
        "errors": errors,
    }
    if evaluation_name:
        result["name"] = evaluation_name
    if output_path is not None:
        _write(result, Path(output_path), evaluation_name)
    return result


def _run_target(
    target: Callable[..., Any] | None, rows: list[dict[str, Any]], errors: list[dict[str, Any]]
) -> list[dict[str, Any] | None]:
    if target is None:
        return [{} for _ in rows]
    arguments = [_bind(target, row, "the target") for row in rows]
    return _side_by_side(lambda index: _as_outputs(_call(target, arguments[index])), len(rows), "target", errors)


def _run_evaluator(
    name: str,
    evaluator: Callable[..., Any],
    mapping: Mapping[str, Any],
    rows: list[dict[str, Any]],
    answers: list[dict[str, Any] | None],
    errors: list[dict[str, Any]],
) -> list[dict[str, Any] | None]:
    known = {key for answer in answers if answer for key in answer}

    def score(index: int) -> dict[str, Any]:
        answer = answers[index]
        if answer is None:
            raise ValueError("The target failed on this row, so there is nothing to score.")
        values = {**rows[index], **answer} | {
            parameter: _resolve(parameter, reference, rows[index], answer, known, name)
            for parameter, reference in mapping.items()
        }
        return _as_outputs(_call(evaluator, _bind(evaluator, values, f"the evaluator {name!r}")))

    return _side_by_side(score, len(rows), name, errors)


def _side_by_side(
    work: Callable[[int], dict[str, Any]], count: int, name: str, errors: list[dict[str, Any]]
) -> list[dict[str, Any] | None]:
    """Results in order; what fails is None and noted. A mistake of the caller goes through."""
    with ThreadPoolExecutorWithContext(max_workers=min(_WORKERS, count)) as pool:
        futures = [pool.submit(work, index) for index in range(count)]
        results: list[dict[str, Any] | None] = []
        for index, future in enumerate(futures):
            try:
                results.append(future.result())
            except DataError:
                raise
            except Exception as error:  # noqa: BLE001 - one row, recorded
                logger.warning("%s failed on row %d: %s", name, index, error)
                errors.append({"row": index, "what": name, "type": type(error).__name__, "message": str(error)})
                results.append(None)
    return results


def _mapping(config: Mapping[str, Mapping[str, Any]] | None, name: str) -> Mapping[str, Any]:
    found = (config or {}).get(name) or (config or {}).get("default") or {}
    inner = found.get("column_mapping", found)
    return inner if isinstance(inner, Mapping) else {}


def _resolve(
    parameter: str,
    reference: Any,
    row: Mapping[str, Any],
    answer: Mapping[str, Any],
    known: set[str],
    evaluator: str,
) -> Any:
    found = _REFERENCE.match(reference) if isinstance(reference, str) else None
    if found is None:
        return reference
    source, column = found.groups()
    values = answer if source in ("target", "run.outputs") else row
    if column not in values:
        columns = known if values is answer else row
        raise DataError(
            f"{parameter!r} of the evaluator {evaluator!r} is mapped to {reference!r}, which is not there.",
            hint=suggest(column, [str(key) for key in columns]),
            kind="InputMappingError",
        )
    return values[column]


def _bind(function: Callable[..., Any], values: Mapping[str, Any], what: str) -> dict[str, Any]:
    """The values that a callable has parameters for."""
    parameters = inspect.signature(function).parameters.values()
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    missing = [p.name for p in named if p.default is p.empty and p.name not in values]
    if missing:
        raise DataError(
            f"{what.capitalize()} needs {', '.join(map(repr, missing))}, and no column is mapped to it.",
            hint=suggest(missing[0], [str(key) for key in values]),
            kind="InputMappingError",
        )
    return {p.name: values[p.name] for p in named if p.name in values}


def _call(function: Callable[..., Any], values: Mapping[str, Any]) -> Any:
    result = function(**values)
    if inspect.isawaitable(result):
        from genaiops.compat._internals import async_run_allowing_running_loop

        async def wait() -> Any:
            return await result

        return async_run_allowing_running_loop(wait)
    return result


def _as_outputs(value: Any) -> dict[str, Any]:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return dict(value) if isinstance(value, Mapping) else {"output": value}


def _row(
    index: int,
    rows: list[dict[str, Any]],
    answers: list[dict[str, Any] | None],
    scores: Mapping[str, list[dict[str, Any] | None]],
) -> dict[str, Any]:
    row = {f"inputs.{key}": value for key, value in rows[index].items()}
    row |= {f"outputs.{key}": value for key, value in (answers[index] or {}).items()}
    for name, results in scores.items():
        names = dict.fromkeys(key for result in results if result for key in result)
        row |= {f"outputs.{name}.{key}": (results[index] or {}).get(key) for key in names}
    return row


def _metrics(scores: Mapping[str, list[dict[str, Any] | None]]) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for name, results in scores.items():
        for key in dict.fromkeys(key for result in results if result for key in result):
            values = [result[key] for result in results if result and _is_number(result.get(key))]
            if values:
                metrics[f"{name}.{key}"] = sum(values) / len(values)
    return metrics


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _write(result: Mapping[str, Any], path: Path, name: str | None) -> None:
    target = path / f"{name or 'evaluation_results'}.json" if path.is_dir() else path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(result, ensure_ascii=False, indent=2, default=str) + "\n", encoding="utf-8")
