"""The part of a search that Optuna does: what to try next, and whether a trial is worth finishing."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from genaiops.experiments._plan import Cell, CellMaker
from genaiops.experiments._variants import current_value

if TYPE_CHECKING:
    from optuna import Study, Trial

_RANDOM_FIRST = 5
_GENETIC_FROM = 100
_POPULATION = 20
_MOST_LISTED = 10_000
# One-sided level at which a trial counts as worse; with two looks at it about 0.06 each gives 0.1 in all (Pocock 1977).
_WORSE_AT = {1: 0.1, 2: 0.06}
_ASKED_AGAIN = 5

Choice = tuple[dict[str, str], dict[str, Any]]
"""Variants by node, and parameters by name."""


class SearchStudy:
    """Chooses combinations, and remembers what came of them.

    The study works in memory and each trial that has ended is also written to a journal, which `optuna-dashboard` and
    `optuna.load_study` read. Nothing is read back from it: with the same seed and the scores that are kept on disk a
    search that is resumed makes the same trials again without running them.

    Args:
        maker: Makes cells; knows the space.
        better: For each objective whether more is better.
        trials: How many are planned.
        seed: Of everything that is drawn.
        looks: How often a trial is looked at before it is complete.
        fewest: Rows below which nothing is stopped.
        journal: Where the trials are written.
    """

    def __init__(
        self,
        maker: CellMaker,
        better: Sequence[bool],
        *,
        trials: int,
        seed: int,
        looks: int,
        fewest: int,
        journal: Path,
    ) -> None:
        self._maker = maker
        self._axes = list(_axes(maker))
        self._random = Random(seed)  # noqa: S311 - which combinations to try is no secret
        directions = ["maximize" if more else "minimize" for more in better]
        self._study = _study(directions, trials=trials, seed=seed, looks=looks, fewest=fewest)
        self._journal = _journal(journal, directions)
        self._trial: Trial | None = None

    def begin_with(self, values: Sequence[float], scores: Mapping[int, float]) -> None:
        """Take the flow as it stands as the first trial.

        A parameter whose present value is not in the space is left out of the trial: nothing false is learnt from it.
        """
        from optuna.trial import create_trial

        space = self._space()
        now = {name: held[0] for name, is_node, held in self._axes if is_node} | self._present()
        chosen = {name: value for name, value in now.items() if _holds(space[name], value)}
        trial = create_trial(
            params=chosen,
            distributions={name: space[name] for name in chosen},
            values=[float(value) for value in values],
            intermediate_values=dict(scores),
            user_attrs={"label": "defaults"},
        )
        self._study.add_trial(trial)
        self._journal.add_trial(trial)

    def next(self, known: Mapping[str, Sequence[float] | None]) -> Cell | None:
        """A combination that was not tried before; None when there is none left.

        Args:
            known: The values of what was tried, by label; None for what was stopped or failed.
        """
        for _ in range(_ASKED_AGAIN):
            cell = self._ask()
            if cell.label not in known:
                return cell
            self._tell_again(known[cell.label])
        left = [choice for choice in self._listed() if self._cell(choice).label not in known]
        if not left:
            return None
        self._study.enqueue_trial(
            dict(zip((name for name, _, _ in self._axes), self._random.choice(left), strict=True))
        )
        return self._ask()

    def is_worse(self, scores: Mapping[int, float]) -> bool:
        """The trial's scores by row are worse than the best trial's on the same rows."""
        assert self._trial is not None
        self._report(scores)
        with warnings.catch_warnings():
            # It warns of rows that the best trial does not have (a budget ended it) and leaves them out: as it should.
            warnings.simplefilter("ignore")
            return bool(self._trial.should_prune())

    def stop(self) -> None:
        """The trial ends here; it was worse."""
        from optuna.trial import TrialState

        self._end(state=TrialState.PRUNED)

    def fail(self) -> None:
        """The trial measured nothing."""
        from optuna.trial import TrialState

        self._end(state=TrialState.FAIL)

    def complete(self, values: Sequence[float], scores: Mapping[int, float]) -> None:
        """The trial's objectives, and its scores by row when there is one objective."""
        self._report(scores)
        self._end(values)

    def label(self, text: str) -> None:
        """What people call the trial."""
        assert self._trial is not None
        self._trial.set_user_attr("label", text)

    def _ask(self) -> Cell:
        self._trial = self._study.ask()
        return self._suggest(self._trial)

    def _present(self) -> dict[str, Any]:
        """Parameters with their value in the flow as it stands, where they have one."""
        found: dict[str, Any] = {}
        for parameter in self._maker.parameters:
            known, value = current_value(parameter.name, self._maker.flow, self._maker.spec.init)
            if known and parameter.values and _is_coded(parameter.values):
                found |= {parameter.name: parameter.values.index(value)} if value in parameter.values else {}
            elif known:
                found[parameter.name] = value
        return found

    def _space(self) -> dict[str, Any]:
        from optuna.distributions import CategoricalDistribution

        lists: dict[str, Any] = {name: CategoricalDistribution(list(values)) for name, _, values in self._axes}
        return lists | {p.name: _distribution(p.span) for p in self._maker.parameters if not p.values}

    def _tell_again(self, values: Sequence[float] | None) -> None:
        from optuna.trial import TrialState

        assert self._trial is not None
        if values is None:
            is_single = len(self._study.directions) == 1
            self._study.tell(self._trial, state=TrialState.PRUNED if is_single else TrialState.FAIL)
        else:
            self._study.tell(self._trial, [float(value) for value in values])

    def _report(self, scores: Mapping[int, float]) -> None:
        assert self._trial is not None
        for row, score in scores.items():
            self._trial.report(score, row)

    def _end(self, values: Sequence[float] | None = None, **state: Any) -> None:
        assert self._trial is not None
        self._study.tell(self._trial, None if values is None else [float(value) for value in values], **state)
        self._journal.add_trial(self._study.trials[self._trial.number])

    def _suggest(self, trial: Trial) -> Cell:
        chosen = [trial.suggest_categorical(name, list(values)) for name, _, values in self._axes]
        spans = {
            parameter.name: _number(trial, parameter.name, parameter.span)
            for parameter in self._maker.parameters
            if not parameter.values
        }
        return self._cell(chosen, spans)

    def _cell(self, chosen: Sequence[Any], spans: Mapping[str, Any] | None = None) -> Cell:
        lists = {parameter.name: parameter.values for parameter in self._maker.parameters}
        variant, parameters = {}, dict(spans or {})
        for (name, is_node, values), value in zip(self._axes, chosen, strict=True):
            if is_node:
                variant[name] = value
            else:
                parameters[name] = lists[name][values.index(value)] if _is_coded(lists[name]) else value
        return self._maker.cell(variant, parameters)

    def _listed(self) -> Iterator[tuple[Any, ...]]:
        """Every combination, when they can be counted."""
        if all(parameter.values for parameter in self._maker.parameters) and self._maker.count() <= _MOST_LISTED:
            yield from product(*(values for _, _, values in self._axes))


def _axes(maker: CellMaker) -> Iterator[tuple[str, bool, tuple[Any, ...]]]:
    """What is chosen from a list: name, whether it is a node, the values as Optuna can hold them."""
    for (name, is_node), values in maker.axes(spans=True):
        yield name, is_node, tuple(range(len(values))) if not is_node and _is_coded(values) else values


def _is_coded(values: Sequence[Any]) -> bool:
    """Lists and maps go by their number, which is all that a study can hold."""
    return not all(value is None or isinstance(value, (bool, int, float, str)) for value in values)


def _distribution(span: Mapping[str, Any]) -> Any:
    from optuna.distributions import FloatDistribution, IntDistribution

    low, high, log = span["min"], span["max"], bool(span.get("log", False))
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=log)
    return FloatDistribution(float(low), float(high), log=log)


def _number(trial: Trial, name: str, span: Mapping[str, Any]) -> float | int:
    low, high, log = span["min"], span["max"], bool(span.get("log", False))
    if isinstance(low, int) and isinstance(high, int):
        return int(trial.suggest_int(name, low, high, log=log))
    return round(float(trial.suggest_float(name, float(low), float(high), log=log)), 6)


def _holds(space: Any, value: Any) -> bool:
    """The value is one of the distribution's own."""
    if hasattr(space, "choices"):
        return any(choice == value and type(choice) is type(value) for choice in space.choices)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and bool(space.low <= value <= space.high)


def _study(directions: Sequence[str], *, trials: int, seed: int, looks: int, fewest: int) -> Study:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        # Optuna calls this pruner's interface experimental; we use nothing but its constructor.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        pruner = optuna.pruners.WilcoxonPruner(p_threshold=_WORSE_AT.get(looks, 0.06), n_startup_steps=fewest - 1)
    sampler: Any = optuna.samplers.TPESampler(seed=seed, n_startup_trials=_RANDOM_FIRST)
    if len(directions) > 1 and trials >= _GENETIC_FROM:
        # A genetic search needs generations to be better than chance; with fewer trials this one learns faster.
        sampler = optuna.samplers.NSGAIISampler(seed=seed, population_size=_POPULATION)
    return optuna.create_study(directions=directions, sampler=sampler, pruner=pruner)


def _journal(path: Path, directions: Sequence[str]) -> Study:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    path.unlink(missing_ok=True)
    # The lock that needs no symbolic links works on Windows too.
    backend = JournalFileBackend(str(path), lock_obj=JournalFileOpenLock(str(path)))
    return optuna.create_study(storage=JournalStorage(backend), study_name="search", directions=directions)
