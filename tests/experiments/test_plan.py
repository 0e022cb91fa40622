"""Which combinations run: `--variants`, `--plan`, `--set`, `search_space`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from genaiops.errors import SettingsError
from genaiops.experiments import ExperimentRequest, PlanRequest, load_experiment, plan_cells, prepare_experiment
from genaiops.flows import load_flow
from tests.experiments.usecase import BASE, make_use_case, settings_of, write


def variant_flow(**nodes: int) -> str:
    """A chain of python nodes; each has as many variants as its number says, the first is the default."""
    lines = ["inputs:", "  url: {type: string}", "outputs:", '  category: {type: string, reference: "${last.output}"}']
    lines += ["nodes:"]
    before = "inputs.url"
    for name in nodes:
        lines += [f"- {{name: {name}, use_variants: true}}"]
    lines += ["- name: last", "  type: python", "  source: {type: code, path: classify.py}"]
    lines += [f'  inputs: {{url: "${{{next(iter(nodes))}.output}}", weight: 0.5}}', "node_variants:"]
    for name, count in nodes.items():
        lines += [f"  {name}:", "    default_variant_id: v0", "    variants:"]
        for number in range(count):
            inputs = f'{{url: "${{{before}}}", n: {number}}}'
            node = f"{{type: python, source: {{type: code, path: classify.py}}, inputs: {inputs}}}"
            lines += [f"      v{number}:", f"        node: {node}"]
        before = f"{name}.output"
    return "\n".join(lines) + "\n"


CODE = "from promptflow.core import tool\n@tool\n"
CODE += "def classify(url: str, n: int = 0, weight: float = 0.5):\n    return url\n"


def labels(folder: Path, experiment: str = BASE, *, nodes: dict[str, int], **request: Any) -> list[str]:
    make_use_case(folder, experiment)
    write(folder / "flows/main/classify.py", CODE)
    write(folder / "flows/main/flow.dag.yaml", variant_flow(**nodes))
    spec = load_experiment(folder, settings_of(folder))
    return [cell.label for cell in plan_cells(spec, load_flow(spec.flow), PlanRequest(**request)).cells]


TWO = {"ask": 3, "tidy": 2}


def test_three_times_two_variants_are_four_runs_one_at_a_time(tmp_path: Path) -> None:
    assert labels(tmp_path, nodes=TWO) == ["defaults", "ask.v1", "ask.v2", "tidy.v1"]


def test_three_times_two_variants_are_six_runs_in_a_grid(tmp_path: Path) -> None:
    found = labels(tmp_path, nodes=TWO, plan="grid")

    assert len(found) == 6
    assert "ask.v2 + tidy.v1" in found


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("all", ["defaults", "ask.v1", "ask.v2", "tidy.v1"]),
        ("*", ["defaults", "ask.v1", "ask.v2", "tidy.v1"]),
        ("defaults", ["defaults"]),
        ("default", ["defaults"]),
        ("ask.v2", ["ask.v2"]),
        ("${ask.v2}", ["ask.v2"]),
        ("ASK.V2", ["ask.v2"]),
        ("v1", ["ask.v1", "tidy.v1"]),
        ("defaults, ask.v1", ["defaults", "ask.v1"]),
        ("ask.v1,tidy.v1", ["ask.v1", "tidy.v1"]),
        ("ask.v2+tidy.v1", ["ask.v2 + tidy.v1"]),
        ("v0", ["defaults"]),
    ],
)
def test_variants_are_chosen_by_words(tmp_path: Path, words: str, expected: list[str]) -> None:
    assert labels(tmp_path, nodes=TWO, variants=words) == expected


@pytest.mark.parametrize("words", ["ask.v9", "nope", "defaults,v7", "ask.v0+nope"])
def test_an_unknown_variant_is_an_error_that_lists_the_valid_ones(tmp_path: Path, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        labels(tmp_path, nodes=TWO, variants=words)

    assert caught.value.exit_code == 2
    assert "ask.v0, ask.v1, ask.v2, tidy.v0, tidy.v1" in str(caught.value.hint)


def test_a_list_runs_only_what_is_listed(tmp_path: Path) -> None:
    block = "plan:\n  kind: list\n  cells:\n  - {ask: v1, tidy: v1}\n  - {ask: v2, last.weight: 0.9}\n"

    assert labels(tmp_path, BASE + block, nodes=TWO, variants="defaults") == [
        "defaults",
        "ask.v1 + tidy.v1",
        "ask.v2 + last.weight=0.9",
    ]


def test_values_on_the_command_line_vary_a_node_input(tmp_path: Path) -> None:
    found = labels(tmp_path, nodes={"ask": 1}, sets=("last.weight=0.1,0.5,0.9",))

    assert found == ["defaults", "last.weight=0.1", "last.weight=0.9"]  # 0.5 is what the flow says already


def test_a_search_space_and_a_grid_multiply(tmp_path: Path) -> None:
    found = labels(
        tmp_path, BASE + "search_space:\n  last.weight: {min: 0, max: 1, step: 0.5}\n", nodes=TWO, plan="grid"
    )

    assert len(found) == 6 * 3


@pytest.mark.parametrize("name", ["last.wieght=1", "lst.weight=1", "weight=1", "init.tone=a"])
def test_an_unknown_parameter_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError):
        labels(tmp_path, nodes=TWO, sets=(name,))


@pytest.mark.parametrize("plan", ["gird", "sample", "sample:0", "sample:x", "grid:3"])
def test_an_unknown_plan_is_an_error(tmp_path: Path, plan: str) -> None:
    with pytest.raises(SettingsError, match="There is no plan"):
        labels(tmp_path, nodes=TWO, plan=plan)


@hypothesis_settings(deadline=None, max_examples=25)
@given(count=st.integers(1, 8), seed=st.integers(0, 1000))
def test_a_sample_is_the_same_for_the_same_seed_and_holds_the_defaults(
    tmp_path_factory: pytest.TempPathFactory, count: int, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("case")

    first = labels(folder, nodes=TWO, plan=f"sample:{count}", seed=seed)
    second = labels(folder, nodes=TWO, plan=f"sample:{count}", seed=seed)

    assert first == second
    assert first[0] == "defaults"
    assert len(first) == len(set(first)) == min(count, 6)


def test_the_baseline_of_the_use_case_comes_first(tmp_path: Path) -> None:
    assert labels(tmp_path, BASE + "baseline: ask.v2\n", nodes=TWO)[0] == "ask.v2"


def test_a_flow_without_variants_has_one_cell_and_knows_no_names(tmp_path: Path) -> None:
    make_use_case(tmp_path)
    spec = load_experiment(tmp_path, settings_of(tmp_path))
    flow = load_flow(spec.flow)

    assert [cell.label for cell in plan_cells(spec, flow).cells] == ["defaults"]
    with pytest.raises(SettingsError, match="has no variants"):
        plan_cells(spec, flow, PlanRequest(variants="variant_0"))


@pytest.mark.parametrize(
    ("repeats", "calls", "warned"), [(2, "replay", True), (1, "replay", False), (2, "live", False)]
)
def test_repeats_from_a_recording_are_warned_about(tmp_path: Path, repeats: int, calls: str, warned: bool) -> None:
    make_use_case(tmp_path)
    request = ExperimentRequest(use_case=tmp_path, repeats=repeats, model_calls=calls)

    prepared = prepare_experiment(request, settings_of(tmp_path))

    assert ("recorded-repeats" in [finding.code for finding in prepared.findings]) is warned
    assert [task.spec.repeat for task in prepared.tasks] == list(range(repeats))
