"""Adaptive search of variants and parameters: what did well decides what is tried next.

A trial that is worse than the best one on the same rows is stopped early. Needs the extra `search`.
"""

from __future__ import annotations

import warnings
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING, Any

from genaiops.errors import InputError, MissingExtraError
from genaiops.evaluators import RawEvaluation, settle
from genaiops.experiments._assemble import Finished, gate_metrics, merge_repeats, metric_rules, series_of
from genaiops.experiments._compare import Series
from genaiops.experiments._metrics import settle_names
from genaiops.experiments._plan import Cell, CellMaker
from genaiops.experiments._spec import ExperimentSpec
from genaiops.experiments._tasks import RunTask

if TYPE_CHECKING:
    from optuna import Study, Trial

_FIRST_SHARE = 0.25
_FEWEST_FIRST = 8
_FACTS = ("cost_usd", "latency_s", "tokens")

RunCell = Callable[[Cell, int | None], Awaitable[tuple[list[Finished], list[RawEvaluation]] | None]]
"""Runs a cell over all datasets and scores it; with a number only the first so many rows. None after an interrupt."""


@dataclass(frozen=True, kw_only=True)
class SearchPlan:
    """What is searched for.

    Args:
        trials: How many combinations are tried.
        objectives: Metrics, `cost_usd`, `latency_s` or `tokens`; the first is the one trials are stopped early by.
        seed: The same seed and the same scores give the same trials.
        rows: Rows of the smallest dataset, of which the first ones are looked at alone.
    """

    trials: int
    objectives: tuple[str, ...]
    seed: int
    rows: int


def search_plan(spec: ExperimentSpec, trials: int, seed: int, rows: int) -> SearchPlan:
    """The plan of a search, its objectives from the block `plan`, else the gate's first metric, else any.

    Raises:
        MissingExtraError: Optuna is not installed.
    """
    try:
        import optuna  # noqa: F401 - is it there?
    except ImportError as error:
        raise MissingExtraError("optuna", extra="search", purpose="for --search") from error
    block = spec.plan if isinstance(spec.plan, Mapping) else {}
    written = block.get("objectives")
    names = [written] if isinstance(written, str) else [str(name) for name in written or gate_metrics(spec)[:1]]
    return SearchPlan(trials=trials, objectives=tuple(names), seed=seed, rows=rows)


async def search(plan: SearchPlan, spec: ExperimentSpec, maker: CellMaker, run_cell: RunCell) -> dict[str, Any]:
    """Try combinations, the defaults first.

    Args:
        plan: What is searched for.
        spec: The use case.
        maker: Makes cells; knows the space.
        run_cell: Runs one.

    Returns:
        Trials, the best one, and with several objectives those that no other beats in all of them.
    """
    return await _Search(plan, spec, maker, run_cell).run()


class _Search:
    def __init__(self, plan: SearchPlan, spec: ExperimentSpec, maker: CellMaker, run_cell: RunCell) -> None:
        self._plan = plan
        self._spec = spec
        self._maker = maker
        self._run_cell = run_cell
        self._raws: list[RawEvaluation] = []
        self._finished: list[Finished] = []
        self._trials: list[dict[str, Any]] = []
        self._objectives = plan.objectives
        self._better: tuple[bool, ...] = ()
        self._seen: dict[str, tuple[float | None, ...]] = {}

    async def run(self) -> dict[str, Any]:
        """All trials."""
        first = self._maker.cell({}, {})
        done = await self._run_cell(first, None)
        if done is None:
            return self._form(None)
        self._take(done)
        self._settle_objectives()
        values = self._values(first)
        self._seen[first.label] = values
        self._trials.append({"number": 0, "label": first.label, "state": "complete", "values": list(values)})
        study = self._study()
        self._tell_first(study, values)
        for _ in range(self._plan.trials - 1):
            if not await self._trial(study):
                break
        return self._form(study)

    async def _trial(self, study: Study) -> bool:
        """One combination; False when a person has stopped everything."""
        import optuna

        trial = study.ask()
        cell = self._maker.cell(*self._suggest(trial))
        entry: dict[str, Any] = {"number": len(self._trials), "label": cell.label}
        if cell.label in self._seen:
            self._tell(study, trial, self._seen[cell.label])
            self._trials.append({**entry, "state": "repeated", "values": list(self._seen[cell.label])})
            return True
        rows = max(_FEWEST_FIRST, ceil(self._plan.rows * _FIRST_SHARE))
        if len(self._objectives) == 1 and rows < self._plan.rows:
            part = await self._run_cell(cell, rows)
            if part is None:
                return False
            if self._is_worse(trial, cell, part):
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                self._trials.append({**entry, "state": "stopped early", "rows": rows, "values": [None]})
                return True
        done = await self._run_cell(cell, None)
        if done is None:
            return False
        self._take(done)
        values = self._values(cell)
        self._seen[cell.label] = values
        self._tell(study, trial, values, cell)
        self._trials.append({**entry, "state": "complete", "values": list(values)})
        return True

    def _take(self, done: tuple[list[Finished], list[RawEvaluation]]) -> None:
        self._finished += done[0]
        self._raws += done[1]

    def _suggest(self, trial: Trial) -> tuple[dict[str, str], dict[str, Any]]:
        variant = {
            name: trial.suggest_categorical(name, list(values))
            for (name, is_node), values in self._maker.axes(spans=True)
            if is_node
        }
        parameters = {}
        for parameter in self._maker.parameters:
            if parameter.values:
                parameters[parameter.name] = _choice(trial, parameter.name, parameter.values)
            else:
                parameters[parameter.name] = _number(trial, parameter.name, parameter.span)
        return variant, parameters

    def _study(self) -> Study:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        directions = ["maximize" if better else "minimize" for better in self._better]
        if len(directions) > 1:
            return optuna.create_study(
                directions=directions, sampler=optuna.samplers.NSGAIISampler(seed=self._plan.seed)
            )
        sampler = optuna.samplers.TPESampler(seed=self._plan.seed, n_startup_trials=min(10, self._plan.trials // 2))
        with warnings.catch_warnings():
            # Optuna calls this pruner's interface experimental; we use nothing but its constructor.
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            pruner = optuna.pruners.WilcoxonPruner(p_threshold=0.1, n_startup_steps=_FEWEST_FIRST - 1)
        return optuna.create_study(direction=directions[0], sampler=sampler, pruner=pruner)

    def _tell_first(self, study: Study, values: Sequence[float | None]) -> None:
        """The defaults as a trial of the study, with their rows, so that others are held against them."""
        variant = {name: chosen for (name, is_node), (chosen, *_) in self._maker.axes(spans=True) if is_node}
        study.enqueue_trial(variant)
        trial = study.ask()
        self._suggest(trial)
        self._tell(study, trial, values, self._maker.cell({}, {}))

    def _tell(self, study: Study, trial: Trial, values: Sequence[float | None], cell: Cell | None = None) -> None:
        import optuna

        if any(value is None for value in values):
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            return
        if cell is not None and len(self._objectives) == 1:
            for row, score in self._rows(cell, self._raws, self._finished).items():
                trial.report(score, row)
        study.tell(trial, [float(value) for value in values if value is not None])

    def _is_worse(self, trial: Trial, cell: Cell, part: tuple[list[Finished], list[RawEvaluation]]) -> bool:
        for row, score in self._rows(cell, part[1], part[0]).items():
            trial.report(score, row)
        return bool(trial.should_prune())

    def _settle_objectives(self) -> None:
        """Which metrics count, and which way is good; known once something was measured."""
        series = self._series(self._raws, self._finished)
        if not self._objectives:
            names = list(dict.fromkeys(item.metric for item in series))
            if not names:
                raise InputError("Nothing was measured, so there is nothing to search for.", file=self._spec.file)
            self._objectives = (names[0],)
        better = {item.metric: item.higher_is_better for item in series}
        better |= {f"{item.evaluator}.{item.metric}": item.higher_is_better for item in series}
        for name in self._objectives:
            if name not in better and name not in _FACTS:
                known = ", ".join(sorted({*better, *_FACTS}))
                raise InputError(
                    f"There is no metric {name!r} to search for.", file=self._spec.file, hint=f"Valid: {known}."
                )
        self._better = tuple(better.get(name, False) for name in self._objectives)

    def _series(self, raws: Sequence[RawEvaluation], finished: Sequence[Finished]) -> list[Series]:
        runs = {item.record.id: item for item in finished}
        # Names are settled with all that was measured before, so that they mean the same in every trial.
        known = {raw.id for raw in raws}
        evaluations = settle_names(settle([*raws, *(raw for raw in self._raws if raw.id not in known)]))
        rules = metric_rules(self._spec)
        return merge_repeats(
            item for e in evaluations if e.run in runs for item in series_of(e, runs[str(e.run)], rules, {})
        )

    def _rows(self, cell: Cell, raws: Sequence[RawEvaluation], finished: Sequence[Finished]) -> dict[int, float]:
        """Scores of the first objective by row, rows of several datasets one after the other."""
        found: dict[int, float] = {}
        wanted = self._objectives[0]
        fitting = [
            s
            for s in self._series(raws, finished)
            if s.variant == cell.label and wanted in (s.metric, f"{s.evaluator}.{s.metric}")
        ]
        for number, item in enumerate(fitting):
            found |= {row + number * 1_000_000: score for row, score in item.by_row().items()}
        return found

    def _values(self, cell: Cell) -> tuple[float | None, ...]:
        return tuple(self._value(name, cell) for name in self._objectives)

    def _value(self, name: str, cell: Cell) -> float | None:
        if name in _FACTS:
            runs = [item for item in self._finished if item.task.cell.label == cell.label]
            figures = [_fact(name, item) for item in runs]
            known = [figure for figure in figures if figure is not None]
            return sum(known) / len(known) if known else None
        series = [s for s in self._series(self._raws, self._finished) if s.variant == cell.label]
        scores = [
            score for s in series if name in (s.metric, f"{s.evaluator}.{s.metric}") for score in s.by_row().values()
        ]
        return sum(scores) / len(scores) if scores else None

    def _form(self, study: Study | None) -> dict[str, Any]:
        done = [trial for trial in self._trials if trial["state"] == "complete" and None not in trial["values"]]
        single = len(self._objectives) == 1 and bool(self._better)
        best = None
        if single and done:
            pick = max if self._better[0] else min
            best = pick(done, key=lambda trial: trial["values"][0])["label"]
        front = (
            [] if study is None or single else [trial["label"] for trial in done if not self._is_beaten(trial, done)]
        )
        return {
            "objectives": list(self._objectives),
            "higher_is_better": list(self._better),
            "seed": self._plan.seed,
            "trials": self._trials,
            "best": best,
            "front": front,
        }

    def _is_beaten(self, trial: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> bool:
        """Another trial is at least as good in everything and better in something."""
        for other in others:
            signs = [1 if better else -1 for better in self._better]
            gains = [s * (b - a) for s, a, b in zip(signs, trial["values"], other["values"], strict=True)]
            if all(gain >= 0 for gain in gains) and any(gain > 0 for gain in gains):
                return True
        return False


def _choice(trial: Trial, name: str, values: Sequence[Any]) -> Any:
    """One of a list; lists and maps go by their number, which is all that the search can hold."""
    if all(value is None or isinstance(value, (bool, int, float, str)) for value in values):
        return trial.suggest_categorical(name, list(values))
    return values[trial.suggest_categorical(name, list(range(len(values))))]


def _number(trial: Trial, name: str, span: Mapping[str, Any]) -> float | int:
    low, high, log = span["min"], span["max"], bool(span.get("log", False))
    if isinstance(low, int) and isinstance(high, int):
        return int(trial.suggest_int(name, low, high, log=log))
    return round(float(trial.suggest_float(name, float(low), float(high), log=log)), 6)


def _fact(name: str, item: Finished) -> float | None:
    rows = item.record.rows.completed
    if not rows:
        return None
    if name == "latency_s":
        return item.latency()["p95"]
    if name == "tokens":
        return sum(item.record.tokens.get(kind, 0) for kind in ("input", "output")) / rows
    return None if item.record.cost_usd is None else item.record.cost_usd / rows


def partial_task(task: RunTask, rows: int) -> RunTask:
    """The first rows of a run, as a run of its own."""
    name = f"{task.id}_first"
    limit = min(rows, task.spec.limit) if task.spec.limit is not None else rows
    return replace(task, id=name, spec=replace(task.spec, name=name, limit=limit))
