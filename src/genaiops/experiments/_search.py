"""Adaptive search of variants and parameters: what did well decides what is tried next.

A trial that is worse than the best one on the same rows is stopped early. Needs the extra `search`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Any

from genaiops.errors import InputError, MissingExtraError
from genaiops.evaluators import RawEvaluation, settle
from genaiops.experiments._assemble import Finished, gate_metrics, merge_repeats, metric_rules, series_of
from genaiops.experiments._compare import Series, rank
from genaiops.experiments._metrics import settle_names
from genaiops.experiments._plan import Cell, CellMaker
from genaiops.experiments._spec import ExperimentSpec
from genaiops.experiments._study import SearchStudy
from genaiops.experiments._tasks import RunTask
from genaiops.records import record

JOURNAL_FILE = "search.journal"
_FEWEST_FIRST = 8
_FACTS = ("cost_usd", "latency_s", "tokens")
_SPOKEN = {"cost": "cost_usd", "latency": "latency_s"}

RunCell = Callable[[Cell, int | None], Awaitable[tuple[list[Finished], list[RawEvaluation]] | None]]
"""Runs a cell over all datasets and scores it; with a number only the first so many rows. None after an interrupt."""


@record(frozen=True, kw_only=True)
class SearchPlan:
    """What is searched for.

    Args:
        trials: How many combinations are tried.
        objectives: Metrics, `cost_usd`, `latency_s` or `tokens`; a single one is what trials are stopped early by.
        seed: The same seed and the same scores give the same trials.
        looks: After how many rows of each dataset a trial is looked at, smallest first.
    """

    trials: int
    objectives: tuple[str, ...]
    seed: int
    looks: tuple[int, ...] = ()


def search_plan(
    spec: ExperimentSpec,
    trials: int,
    seed: int,
    rows: int = 0,
    *,
    objectives: Sequence[str] = (),
    shares: Sequence[float] = (),
) -> SearchPlan:
    """The plan of a search.

    Args:
        spec: The use case, whose block `plan` names objectives when the caller does not; else the gate's first metric
            counts, else whatever is measured first.
        trials: How many combinations are tried.
        seed: Of everything that is drawn.
        rows: Rows of the smallest dataset.
        objectives: As `--objective`.
        shares: At which shares of the rows a trial is looked at.

    Raises:
        MissingExtraError: Optuna is not installed.
    """
    try:
        import optuna  # noqa: F401 - is it there?
    except ImportError as error:
        raise MissingExtraError("optuna", extra="search", purpose="for --search") from error
    block = spec.plan if isinstance(spec.plan, Mapping) else {}
    written = block.get("objectives")
    names = objectives or ([written] if isinstance(written, str) else written or gate_metrics(spec)[:1])
    looks = dict.fromkeys(max(_FEWEST_FIRST, ceil(rows * share)) for share in shares)
    return SearchPlan(
        trials=trials,
        objectives=tuple(_SPOKEN.get(str(name), str(name)) for name in names),
        seed=seed,
        looks=tuple(look for look in looks if look < rows),
    )


async def search(
    plan: SearchPlan, spec: ExperimentSpec, maker: CellMaker, run_cell: RunCell, *, folder: Path
) -> dict[str, Any]:
    """Try combinations, the defaults first.

    Args:
        plan: What is searched for.
        spec: The use case.
        maker: Makes cells; knows the space.
        run_cell: Runs one.
        folder: Where the journal of the trials is written.

    Returns:
        Trials, the best one and what ties with it, and with several objectives those that no other beats in all.
    """
    return await _Search(plan, spec, maker, run_cell, folder / JOURNAL_FILE).run()


class _Search:
    def __init__(
        self, plan: SearchPlan, spec: ExperimentSpec, maker: CellMaker, run_cell: RunCell, journal: Path
    ) -> None:
        self._plan = plan
        self._spec = spec
        self._maker = maker
        self._run_cell = run_cell
        self._journal = journal
        self._raws: list[RawEvaluation] = []
        self._finished: list[Finished] = []
        self._trials: list[dict[str, Any]] = []
        self._objectives = plan.objectives
        self._better: tuple[bool, ...] = ()
        self._known: dict[str, tuple[float, ...] | None] = {}
        self._end = "trials"

    async def run(self) -> dict[str, Any]:
        """All trials."""
        first = self._maker.cell({}, {})
        done = await self._run_cell(first, None)
        if done is None:
            self._end = "stopped"
            return self._form()
        self._take(done)
        self._settle_objectives()
        study = SearchStudy(
            self._maker,
            self._better,
            trials=self._plan.trials,
            seed=self._plan.seed,
            looks=len(self._plan.looks),
            fewest=_FEWEST_FIRST,
            journal=self._journal,
        )
        self._begin(study, first)
        while len(self._trials) < self._plan.trials:
            cell = study.next(self._known)
            if cell is None:
                self._end = "everything was tried"
                break
            if not await self._trial(study, cell):
                self._end = "stopped"
                break
        return self._form()

    async def _trial(self, study: SearchStudy, cell: Cell) -> bool:
        """One combination; False when a person or the budget has stopped everything."""
        for rows in self._plan.looks if len(self._objectives) == 1 and self._is_scored() else ():
            part = await self._run_cell(cell, rows)
            if part is None:
                return False
            scores = self._rows(cell, part[1], part[0])
            if study.is_worse(scores):
                study.label(cell.label)
                study.stop()
                self._known[cell.label] = None
                so_far = sum(scores.values()) / len(scores)
                self._note(cell, "stopped early", [None], rows=rows, so_far=so_far)
                return True
        done = await self._run_cell(cell, None)
        if done is None:
            return False
        self._take(done)
        self._complete(study, cell)
        return True

    def _begin(self, study: SearchStudy, first: Cell) -> None:
        values = self._values(first)
        known = tuple(value for value in values if value is not None)
        if len(known) < len(values):
            names = [name for name, value in zip(self._objectives, values, strict=True) if value is None]
            raise InputError(
                f"The flow as it stands gives no value for {', '.join(names)}, so there is nothing to search for.",
                file=self._spec.file,
            )
        self._known[first.label] = known
        study.begin_with(known, self._rows(first, self._raws, self._finished) if len(values) == 1 else {})
        self._note(first, "complete", values)

    def _complete(self, study: SearchStudy, cell: Cell) -> None:
        values = self._values(cell)
        study.label(cell.label)
        known = tuple(value for value in values if value is not None)
        if len(known) < len(values):
            self._known[cell.label] = None
            study.fail()
            self._note(cell, "not measured", values)
            return
        self._known[cell.label] = known
        study.complete(known, self._rows(cell, self._raws, self._finished) if len(values) == 1 else {})
        self._note(cell, "complete", values)

    def _note(self, cell: Cell, state: str, values: Sequence[float | None], **more: Any) -> None:
        entry = {"number": len(self._trials), "label": cell.label, "state": state, "values": list(values)}
        chosen = {"variant": dict(cell.variant), "parameters": dict(cell.parameters)}
        self._trials.append({**entry, **chosen, **more})

    def _take(self, done: tuple[list[Finished], list[RawEvaluation]]) -> None:
        self._finished += done[0]
        self._raws += done[1]

    def _is_scored(self) -> bool:
        """The objective has a value for each row, so that a part of them tells something."""
        return self._objectives[0] not in _FACTS

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
        fitting = [s for s in self._series(raws, finished) if s.variant == cell.label and _is_called(s, wanted)]
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
        scores = [score for s in series if _is_called(s, name) for score in s.by_row().values()]
        return sum(scores) / len(scores) if scores else None

    def _form(self) -> dict[str, Any]:
        done = [trial for trial in self._trials if trial["state"] == "complete"]
        single = len(self._objectives) == 1 and bool(self._better)
        best = None
        if single and done:
            pick = max if self._better[0] else min
            best = pick(done, key=lambda trial: trial["values"][0])["label"]
        return {
            "objectives": list(self._objectives),
            "higher_is_better": list(self._better),
            "seed": self._plan.seed,
            "trials": self._trials,
            "ended": self._end,
            "best": best,
            "tied": self._tied() if done else {},
            "front": [] if single else [trial["label"] for trial in done if not self._is_beaten(trial, done)],
            "journal": JOURNAL_FILE if done else None,
        }

    def _tied(self) -> dict[str, list[str]]:
        """For each objective that rows have scores of: the trials that cannot be told from its best one."""
        ranks = rank(self._series(self._raws, self._finished))
        found: dict[str, list[str]] = {}
        for name in self._objectives:
            groups = [set(r["tied"]) for r in ranks if name in (r["metric"], f"{r['evaluator']}.{r['metric']}")]
            if groups:
                both = set.intersection(*groups)
                found[name] = [trial["label"] for trial in self._trials if trial["label"] in both]
        return found

    def _is_beaten(self, trial: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> bool:
        """Another trial is at least as good in everything and better in something."""
        for other in others:
            signs = [1 if better else -1 for better in self._better]
            gains = [s * (b - a) for s, a, b in zip(signs, trial["values"], other["values"], strict=True)]
            if all(gain >= 0 for gain in gains) and any(gain > 0 for gain in gains):
                return True
        return False


def _is_called(series: Series, name: str) -> bool:
    return name in (series.metric, f"{series.evaluator}.{series.metric}")


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
    name = f"{task.id}_first{rows}"
    limit = min(rows, task.spec.limit) if task.spec.limit is not None else rows
    return replace(task, id=name, spec=replace(task.spec, name=name, limit=limit))
