"""From what is asked for to the list of cells: variants and parameters that run over every dataset."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from itertools import islice, product
from typing import Any, Literal

from genaiops.errors import SettingsError, suggest
from genaiops.experiments._spec import ExperimentSpec
from genaiops.experiments._variants import (
    Parameter,
    Selection,
    current_value,
    default_variants,
    read_parameters,
    select_variants,
)
from genaiops.flows import Flow
from genaiops.records import record

PlanKind = Literal["one-at-a-time", "grid", "sample", "list", "search"]
_KINDS: tuple[PlanKind, ...] = ("one-at-a-time", "grid", "sample", "list")
_MOST_CELLS = 10_000


@record(frozen=True, kw_only=True)
class Cell:
    """A flow with its variants chosen and its parameters set; it runs over every dataset.

    Args:
        variant: Node -> variant, for every node that has variants.
        parameters: `node.input` or `init.name` -> value, only where it differs from the flow as it stands.
        label: What people call it: `defaults`, `node.variant`, `node.input=0.5`, joined by ` + `.
        is_baseline: The others are compared with this one.
    """

    variant: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    label: str = "defaults"
    is_baseline: bool = False

    @property
    def overrides(self) -> dict[str, Any]:
        """The node inputs it sets, in the form `load_flow` takes."""
        found = {}
        for name, value in self.parameters.items():
            node, _, key = name.partition(".")
            if node != "init":
                found[f"nodes.{node}.inputs.{key}"] = value
        return found

    def init(self, base: Mapping[str, Any]) -> dict[str, Any]:
        """The init parameters with those of this cell over them."""
        merged = {key: dict(value) if isinstance(value, Mapping) else value for key, value in base.items()}
        for name, value in self.parameters.items():
            head, _, rest = name.partition(".")
            if head == "init":
                key, _, inner = rest.partition(".")
                if inner:
                    merged[key] = {**(merged.get(key) or {}), inner: value}
                else:
                    merged[key] = value
        return merged


@record(frozen=True, kw_only=True)
class Plan:
    """The cells in the order they run, the baseline first.

    Args:
        kind: How the combinations were made.
        seed: Of a sample.
        of: How many combinations there are in all.
    """

    kind: PlanKind
    cells: tuple[Cell, ...]
    seed: int | None = None
    of: int

    def to_json(self) -> dict[str, Any]:
        """The published form."""
        return {
            "kind": self.kind,
            "seed": self.seed,
            "combinations": self.of,
            "cells": [
                {
                    "label": c.label,
                    "variant": dict(c.variant),
                    "parameters": dict(c.parameters),
                    "is_baseline": c.is_baseline,
                }
                for c in self.cells
            ],
        }


@record(frozen=True, kw_only=True)
class PlanRequest:
    """What the command line says about the plan; `None` leaves it to the use case.

    Args:
        variants: As `--variants`.
        plan: `one-at-a-time`, `grid`, `sample:N` or `list`.
        sets: Each `node.input=a,b,c`.
        seed: Of a sample or a search.
        search: Try so many combinations, each chosen by what came of the ones before.
        objectives: What a search looks for: metrics, `cost`, `latency`, `tokens`.
    """

    variants: str | Sequence[str] | None = None
    plan: str | None = None
    sets: tuple[str, ...] = ()
    seed: int | None = None
    search: int | None = None
    objectives: tuple[str, ...] = ()


def plan_cells(spec: ExperimentSpec, flow: Flow, request: PlanRequest | None = None) -> Plan:
    """Make the list of cells.

    Args:
        spec: The use case; its blocks `plan`, `search_space` and `baseline` count where the request says nothing.
        flow: The application, loaded with its defaults.
        request: What the command line asks for.

    Raises:
        SettingsError: An unknown variant, parameter or kind of plan, or more than ten thousand cells.
    """
    request = request or PlanRequest()
    if spec.logged:
        return _logged_plan(request)
    kind, samples, block = _kind(request.plan, spec)
    seed = request.seed if request.seed is not None else int(block.get("seed", 0))
    words = request.variants if request.variants is not None else block.get("variants")
    place = spec.place("plan") if request.variants is None and block.get("variants") is not None else None
    selection = select_variants(words, flow, place=place)
    parameters = read_parameters(spec.search_space, request.sets, flow, spec.init)
    maker = CellMaker(flow=flow, spec=spec, selection=selection, parameters=parameters)
    trials = search_trials(spec, request)
    if trials is not None:
        first = replace(maker.cell({}, {}), is_baseline=True)
        return Plan(kind="search", cells=(first,), seed=seed, of=trials)
    explicit = [maker.explicit(cell) for cell in block.get("cells") or ()]
    everything = maker.count()
    if kind == "list":
        cells: Iterable[Cell] = [*explicit, *maker.combined(), *maker.single()]
    elif kind == "one-at-a-time":
        cells = [*maker.one_at_a_time(), *maker.combined(), *explicit]
    elif kind == "grid":
        _refuse_too_many(everything)
        cells = [*maker.grid(), *maker.combined(), *explicit]
    else:
        cells = [*maker.sample(samples, seed), *maker.combined(), *explicit]
    unique = _unique(cells)
    _refuse_too_many(len(unique))
    if not unique:
        raise SettingsError(
            "The plan has no combination to run.", hint="Use --variants all or defaults.", kind="EmptyPlan"
        )
    ordered = _with_baseline(unique, spec, flow, maker)
    return Plan(
        kind=kind, cells=tuple(ordered), seed=seed if kind == "sample" else None, of=max(everything, len(unique))
    )


def _logged_plan(request: PlanRequest) -> Plan:
    """One cell: production ran what it ran."""
    asked = {"--variants": request.variants, "--plan": request.plan, "--set": request.sets, "--search": request.search}
    for option, value in asked.items():
        if value and value != "defaults":
            raise SettingsError(
                f"{option} varies the application, which `outputs: logged` does not run.",
                hint="Leave it out, or take `outputs: logged` out of the experiment file.",
                kind="NothingToVary",
            )
    return Plan(kind="list", cells=(Cell(label="logged", is_baseline=True),), of=1)


def search_trials(spec: ExperimentSpec, request: PlanRequest) -> int | None:
    """How many trials a search has: `--search N`, else `plan: {kind: search, trials: N}`; None without a search.

    Raises:
        SettingsError: The block asks for a search and not for how many trials.
    """
    block = spec.plan if isinstance(spec.plan, Mapping) else {}
    if request.search is not None:
        return request.search
    if request.plan is not None or block.get("kind") != "search":
        return None
    trials = block.get("trials")
    if isinstance(trials, bool) or not isinstance(trials, int) or trials < 1:
        place = spec.place("plan")
        raise SettingsError(
            "The search does not say how many trials.", file=place.file, line=place.line, hint="Add trials: 30"
        )
    return trials


def cell_maker(spec: ExperimentSpec, flow: Flow, request: PlanRequest) -> CellMaker:
    """What makes the cells of a search."""
    block = spec.plan if isinstance(spec.plan, Mapping) else {}
    words = request.variants if request.variants is not None else block.get("variants")
    place = spec.place("plan") if request.variants is None and words is not None else None
    selection = select_variants(words, flow, place=place)
    parameters = read_parameters(spec.search_space, request.sets, flow, spec.init)
    return CellMaker(flow=flow, spec=spec, selection=selection, parameters=parameters)


def parse_plan(text: str) -> tuple[PlanKind, int]:
    """`sample:12` -> (`sample`, 12); the other kinds have no number.

    Raises:
        SettingsError: There is no such kind, or the number is none.
    """
    name, colon, number = text.strip().lower().replace("_", "-").partition(":")
    for kind in _KINDS:
        if kind == name and (kind == "sample") == bool(colon):
            if kind != "sample":
                return kind, 0
            if number.isdigit() and int(number) > 0:
                return kind, int(number)
    hint = suggest(name, _KINDS) if name not in _KINDS else "Write sample:N with a number, such as sample:12."
    raise SettingsError(f"There is no plan {text!r}.", hint=hint, kind="UnknownPlan")


def _kind(text: str | None, spec: ExperimentSpec) -> tuple[PlanKind, int, Mapping[str, Any]]:
    written = spec.plan
    block = written if isinstance(written, Mapping) else {}
    if text is None and isinstance(written, str):
        text = written
    if text is None and block.get("kind") not in (None, "search"):
        kind = str(block["kind"])
        text = f"sample:{block.get('samples', 0)}" if kind == "sample" else kind
    if text is None:
        return ("list" if block.get("cells") else "one-at-a-time"), 0, block
    kind_, samples = parse_plan(text)
    return kind_, samples, block


def _refuse_too_many(count: int) -> None:
    if count > _MOST_CELLS:
        raise SettingsError(
            f"The plan has {count:,} combinations, and at most {_MOST_CELLS:,} are allowed.",
            hint="Use --plan sample:N, or fewer values.",
            kind="PlanTooLarge",
        )


@record(frozen=True, kw_only=True)
class CellMaker:
    """Makes cells of one flow."""

    flow: Flow
    spec: ExperimentSpec
    selection: Selection
    parameters: Sequence[Parameter]

    def cell(self, variant: Mapping[str, str], parameters: Mapping[str, Any]) -> Cell:
        """A cell; what equals the flow as it stands is no parameter, and the label names only what differs."""
        defaults = default_variants(self.flow)
        chosen = {**defaults, **variant}
        differing = {}
        for name, value in parameters.items():
            known, current = current_value(name, self.flow, self.spec.init)
            # A variant's own body may write another value, so only the default body's counts as "as it stands".
            if not (known and current == value and type(current) is type(value) and chosen == defaults):
                differing[name] = value
        words = [f"{node}.{chosen[node]}" for node in chosen if chosen[node] != defaults.get(node)]
        words += [f"{name}={_short(value)}" for name, value in differing.items()]
        return Cell(variant=chosen, parameters=differing, label=" + ".join(words) or "defaults")

    def explicit(self, block: Mapping[str, Any]) -> Cell:
        """A cell as written in the block `plan`: node -> variant, `node.input` or `init.name` -> value."""
        variant, parameters = {}, {}
        for name, value in block.items():
            if name in self.flow.variants:
                variant.update(
                    dict([_only(select_variants(f"{name}.{value}", self.flow, place=self.spec.place("plan")))])
                )
            else:
                read_parameters({name: [value]}, (), self.flow, self.spec.init)
                parameters[name] = value
        return self.cell(variant, parameters)

    def single(self) -> Iterator[Cell]:
        """Each selected variant alone."""
        if self.selection.with_defaults:
            yield self.cell({}, {})
        for node, variant in self.selection.single:
            yield self.cell({node: variant}, {})

    def combined(self) -> Iterator[Cell]:
        """The combinations that were written with `+`."""
        for choice in self.selection.combined:
            yield self.cell(choice, {})

    def one_at_a_time(self) -> Iterator[Cell]:
        """One thing differs from the defaults in each cell."""
        if self.parameters and not self.selection.single:
            yield self.cell({}, {})
        yield from self.single()
        for parameter in self.parameters:
            for value in _values(parameter):
                yield self.cell({}, {parameter.name: value})

    def count(self) -> int:
        """How many combinations a full grid has."""
        total = 1
        for _, values in self.axes():
            total *= len(values)
        return total

    def grid(self) -> Iterator[Cell]:
        """Every combination."""
        axes = self.axes()
        for choice in product(*(values for _, values in axes)):
            yield self._of(dict(zip((name for name, _ in axes), choice, strict=True)))

    def sample(self, count: int, seed: int) -> Iterator[Cell]:
        """The defaults and `count` - 1 other combinations drawn without replacement; the same for the same seed."""
        yield self.cell({}, {})
        axes = self.axes()
        total = self.count()
        order = random.Random(seed)  # noqa: S311 - which combinations to try is no secret
        numbers = order.sample(range(total), min(total, count + 1))
        found = (self._of(_combination(axes, number)) for number in numbers)
        yield from islice((cell for cell in found if cell.label != "defaults"), count - 1)

    def _of(self, choice: Mapping[tuple[str, bool], Any]) -> Cell:
        variant = {name: value for (name, is_node), value in choice.items() if is_node}
        return self.cell(variant, {name: value for (name, is_node), value in choice.items() if not is_node})

    def axes(self, *, spans: bool = False) -> list[tuple[tuple[str, bool], tuple[Any, ...]]]:
        """What varies: (name, whether it is a node) and its values; with `spans` ranges without steps are left out."""
        axes: list[tuple[tuple[str, bool], tuple[Any, ...]]] = []
        for node, default in default_variants(self.flow).items():
            chosen = [variant for name, variant in self.selection.single if name == node]
            if self.selection.with_defaults or not chosen:
                chosen = list(dict.fromkeys([default, *chosen]))
            axes.append(((node, True), tuple(chosen)))
        listed = [parameter for parameter in self.parameters if parameter.values or not spans]
        axes += [((parameter.name, False), _values(parameter)) for parameter in listed]
        return axes


def _values(parameter: Parameter) -> tuple[Any, ...]:
    if not parameter.values:
        raise SettingsError(
            f"The range of {parameter.name!r} has no step, so that only --search can use it.",
            hint="Add step to the range, or list the values.",
            kind="RangeWithoutStep",
        )
    return parameter.values


def _combination(axes: Sequence[tuple[tuple[str, bool], tuple[Any, ...]]], number: int) -> dict[tuple[str, bool], Any]:
    """The combination of this number, counted like digits."""
    choice = {}
    for name, values in axes:
        number, digit = divmod(number, len(values))
        choice[name] = values[digit]
    return choice


def _only(selection: Selection) -> tuple[str, str]:
    return selection.single[0]


def _unique(cells: Iterable[Cell]) -> list[Cell]:
    """No combination twice, in the order met."""
    found: dict[str, Cell] = {}
    for cell in cells:
        found.setdefault(json.dumps([dict(cell.variant), dict(cell.parameters)], sort_keys=True, default=str), cell)
    return list(found.values())


def _with_baseline(cells: Sequence[Cell], spec: ExperimentSpec, flow: Flow, maker: CellMaker) -> list[Cell]:
    """The cells with one marked as the baseline and moved to the front."""
    wanted = "defaults"
    if isinstance(spec.baseline, Mapping):
        wanted = maker.explicit(spec.baseline).label
    elif isinstance(spec.baseline, str) and flow.variants and spec.baseline not in ("champion", "defaults", "default"):
        pairs = [f"{node}.{variant}" for node, found in flow.variants.items() for variant in found.ids]
        if spec.baseline in pairs or any(spec.baseline == pair.partition(".")[2] for pair in pairs):
            chosen = select_variants(spec.baseline, flow)
            wanted = maker.cell(dict([_only(chosen)]), {}).label
    index = next((i for i, cell in enumerate(cells) if cell.label == wanted), 0)
    first = replace(cells[index], is_baseline=True)
    return [first, *(cell for i, cell in enumerate(cells) if i != index)]


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 40 else f"{text[:39]}…"
