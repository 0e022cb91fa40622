"""What `experiment.yaml`, its overlays and `--file` mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from genaiops.errors import SettingsError
from genaiops.experiments import examine_experiment, load_experiment, overlay_environments
from tests.experiments.usecase import BASE, make_use_case, settings_of, write


def warnings(spec) -> list[str]:
    return [finding.code for finding in spec.findings]


def test_the_flow_defaults_to_the_name(tmp_path: Path) -> None:
    make_use_case(tmp_path, BASE.replace("flow: flows/main\n", "").replace("name: web", "name: main", 1))

    spec = load_experiment(tmp_path, settings_of(tmp_path))

    assert spec.flow == tmp_path / "flows/main"


@pytest.mark.parametrize("text", ["main", "flows/main", "./flows/main"])
def test_a_flow_is_found_by_bare_name_and_by_path(tmp_path: Path, text: str) -> None:
    make_use_case(tmp_path, BASE.replace("flows/main", text))

    spec = load_experiment(tmp_path, settings_of(tmp_path))

    assert Path(spec.flow).resolve() == tmp_path / "flows/main"


def test_an_unknown_flow_names_the_nearest_one_and_its_line(tmp_path: Path) -> None:
    make_use_case(tmp_path, BASE.replace("flows/main", "flows/mian"))

    with pytest.raises(SettingsError) as caught:
        load_experiment(tmp_path, settings_of(tmp_path))

    assert (caught.value.line, caught.value.hint) == (3, "Did you mean 'main'?")


def test_a_missing_experiment_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"experiment\.yaml"):
        load_experiment(tmp_path, settings_of(tmp_path))


def test_a_source_may_leave_out_the_data_folder(tmp_path: Path) -> None:
    make_use_case(tmp_path, BASE.replace("data/train.jsonl", "train.jsonl"))

    spec = load_experiment(tmp_path, settings_of(tmp_path))

    assert spec.datasets[0].path == tmp_path / "data/train.jsonl"


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("azureml:pages:3", "azureml:pages:3"),
        ("azureml:pages", "azureml:pages:latest"),
        ("azureml://datastores/store/paths/a/b.jsonl", "azureml://datastores/store/paths/a/b.jsonl"),
    ],
)
def test_azure_sources_are_read_in_all_three_forms(tmp_path: Path, source: str, shown: str) -> None:
    make_use_case(tmp_path, BASE.replace("data/train.jsonl", source))

    dataset = load_experiment(tmp_path, settings_of(tmp_path)).datasets[0]

    assert (str(dataset.azure), dataset.path) == (shown, None)


def test_two_datasets_of_one_name_are_an_error(tmp_path: Path) -> None:
    make_use_case(tmp_path, BASE + BASE.split("datasets:\n")[1])

    with pytest.raises(SettingsError, match="Two datasets are named 'train'") as caught:
        load_experiment(tmp_path, settings_of(tmp_path))

    assert caught.value.line == 9


def test_a_reference_in_the_upper_block_is_refused_by_name(tmp_path: Path) -> None:
    make_use_case(tmp_path, BASE + "  reference: other\n")

    with pytest.raises(SettingsError, match="'reference'"):
        load_experiment(tmp_path, settings_of(tmp_path))


EVALUATORS = """
evaluators:
- name: main
  datasets:
  - name: train
    mappings: {url: "${run.outputs.category}"}
- name: second
  flow: main
  datasets:
  - name: train_eval
    source: data/train.jsonl
    reference: train
    mappings: {url: "${data.url}", weight: 3}
"""


def test_evaluators_use_a_dataset_that_runs_or_bring_one_that_refers_to_it(tmp_path: Path) -> None:
    make_use_case(tmp_path, BASE + EVALUATORS)

    first, second = load_experiment(tmp_path, settings_of(tmp_path)).evaluators

    assert (first.path, first.datasets[0].runs_of) == (tmp_path / "flows/main", "train")
    assert (second.datasets[0].name, second.datasets[0].runs_of) == ("train_eval", "train")
    assert second.datasets[0].mappings["weight"] == 3  # a literal keeps its type


def test_a_dangling_reference_is_an_error_with_the_nearest_name(tmp_path: Path) -> None:
    make_use_case(tmp_path, BASE + EVALUATORS.replace("reference: train", "reference: trian"))

    with pytest.raises(SettingsError) as caught:
        load_experiment(tmp_path, settings_of(tmp_path))

    assert caught.value.hint == "Did you mean 'train'?"
    assert "'trian', which is not defined" in caught.value.message


def test_source_is_refused_where_a_dataset_is_used_again(tmp_path: Path) -> None:
    text = EVALUATORS.replace("  - name: train\n", "  - name: train\n    source: data/train.jsonl\n", 1)
    make_use_case(tmp_path, BASE + text)

    with pytest.raises(SettingsError, match="may not have the key 'source'"):
        load_experiment(tmp_path, settings_of(tmp_path))


def test_an_overlay_replaces_whole_blocks(tmp_path: Path) -> None:
    overlay = """
    datasets:
    - name: small
      source: data/train.jsonl
      mappings: {url: "${data.answer}"}
    runtime: other
    """
    make_use_case(tmp_path, BASE + "runtime: first\n", pr=overlay)

    spec = load_experiment(tmp_path, settings_of(tmp_path), env="pr")

    assert [dataset.name for dataset in spec.datasets] == ["small"]
    assert spec.runtime == "other"
    assert spec.name == "web"


def test_an_empty_block_in_an_overlay_removes_that_block(tmp_path: Path) -> None:
    make_use_case(tmp_path, BASE + EVALUATORS + "runtime: first\n", pr="evaluators:\nruntime:\n")

    spec = load_experiment(tmp_path, settings_of(tmp_path), env="pr")

    assert (spec.evaluators, spec.runtime, len(spec.datasets)) == ((), None, 1)


@pytest.mark.parametrize("env", ["dev", "other"])
def test_an_empty_overlay_and_no_overlay_mean_the_base_file(tmp_path: Path, env: str) -> None:
    make_use_case(tmp_path, BASE, dev="\n")

    spec = load_experiment(tmp_path, settings_of(tmp_path), env=env)

    assert [dataset.name for dataset in spec.datasets] == ["train"]


def test_an_overlay_cannot_change_the_name_and_says_so(tmp_path: Path) -> None:
    make_use_case(tmp_path, BASE, pr="name: other\nflow: flows/main\n")

    spec = load_experiment(tmp_path, settings_of(tmp_path), env="pr")

    assert spec.name == "web"
    assert warnings(spec) == ["overlay-fixed-key"]


def test_a_name_near_an_overlay_is_warned_about_and_the_base_file_counts(tmp_path: Path) -> None:
    make_use_case(tmp_path, prod="runtime: other\n", pr="")

    found = examine_experiment(tmp_path, settings_of(tmp_path), env="prd")

    (warning,) = [finding for finding in found.findings if finding.code == "unknown-environment"]
    assert (warning.severity, warning.hint) == ("warning", "Did you mean 'prod'?")
    assert found.spec is not None
    assert found.spec.overlay is None
    assert overlay_environments(tmp_path / "experiment.yaml") == ["pr", "prod"]


def test_the_environment_may_come_from_a_variable(tmp_path: Path) -> None:
    make_use_case(tmp_path, BASE, pr="runtime: other\n")

    spec = load_experiment(tmp_path, settings_of(tmp_path, {"ENV_NAME": "pr"}))

    assert (spec.env, spec.runtime) == ("pr", "other")


def test_another_file_has_overlays_of_its_own(tmp_path: Path) -> None:
    make_use_case(tmp_path, BASE, dev="runtime: wrong\n")
    write(tmp_path / "experiment-postprod.yaml", BASE.replace("name: web", "name: post"))
    write(tmp_path / "experiment-postprod.dev.yaml", "runtime: right\n")

    spec = load_experiment(tmp_path, settings_of(tmp_path), env="dev", file="experiment-postprod.yaml")

    assert (spec.name, spec.runtime) == ("post", "right")


def test_an_overlay_that_takes_a_dataset_away_skips_its_evaluators(tmp_path: Path) -> None:
    make_use_case(
        tmp_path,
        BASE + EVALUATORS,
        dev="datasets:\n- {name: new, source: train.jsonl, mappings: {url: '${data.url}'}}\n",
    )

    spec = load_experiment(tmp_path, settings_of(tmp_path), env="dev")

    assert warnings(spec) == ["no-run-to-evaluate", "no-run-to-evaluate"]


def test_a_key_with_a_slip_in_it_is_an_error_with_the_key_that_was_meant(tmp_path: Path) -> None:
    """What stands under it would be left out: an experiment without its evaluators finds nothing wrong."""
    make_use_case(tmp_path, BASE + "evaluatrs: []\n")

    with pytest.raises(SettingsError, match="'evaluatrs', which nothing reads") as caught:
        load_experiment(tmp_path, settings_of(tmp_path))

    assert (caught.value.kind, caught.value.line) == ("unknown-key", 9)
    assert caught.value.hint == "Did you mean 'evaluators'?"


def test_a_key_that_nobody_reads_is_told_beside_what_is_missing_for_it(tmp_path: Path) -> None:
    make_use_case(tmp_path, BASE + "evaluators:\n- name: right\n  callable: score:right\n  datasets: [train]\n")

    with pytest.raises(SettingsError, match="There is no evaluator 'right'") as caught:
        load_experiment(tmp_path, settings_of(tmp_path))

    assert "has the key 'callable', which nothing reads" in caught.value.message


def test_a_key_that_is_like_no_other_is_a_warning_with_those_that_are_read(tmp_path: Path) -> None:
    make_use_case(tmp_path, BASE + "owner: web team\n")

    (finding,) = load_experiment(tmp_path, settings_of(tmp_path)).findings

    assert (finding.severity, finding.code, finding.line) == ("warning", "unknown-key", 9)
    assert finding.hint is not None
    assert finding.hint.startswith("Valid: ")


def test_a_connection_of_a_type_that_does_not_exist_is_an_error_at_its_line(tmp_path: Path) -> None:
    make_use_case(tmp_path, BASE + "connections:\n- name: chat\n  connection_type: OpenAJ\n")

    with pytest.raises(SettingsError, match="'OpenAJ'") as caught:
        load_experiment(tmp_path, settings_of(tmp_path))

    assert (caught.value.kind, caught.value.line) == ("InvalidConnectionType", 11)
    assert "open_ai" in str(caught.value.hint)


def test_two_datasets_on_one_file_are_a_warning(tmp_path: Path) -> None:
    make_use_case(tmp_path, BASE + BASE.split("datasets:\n")[1].replace("train\n", "again\n", 1))

    spec = load_experiment(tmp_path, settings_of(tmp_path))

    assert warnings(spec) == ["same-file"]


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    make_use_case(tmp_path, "name: web\nflow: nowhere\nrepeats: none\ndatasets:\n- {name: x}\n")

    examined = examine_experiment(tmp_path, settings_of(tmp_path))

    codes = [finding.code for finding in examined.findings if finding.severity == "error"]
    assert codes == ["FlowPathNotFound", "missing-key", "not-a-count"]


def test_a_version_that_looks_like_a_day_stays_text(tmp_path: Path) -> None:
    connection = "connections:\n- {name: aoai, connection_type: AzureOpenAIConnection, api_version: 2024-06-01}\n"
    make_use_case(tmp_path, BASE + connection)

    spec = load_experiment(tmp_path, settings_of(tmp_path))

    assert spec.connections[0]["api_version"] == "2024-06-01"


def test_every_setting_tells_where_it_comes_from(tmp_path: Path) -> None:
    make_use_case(tmp_path, BASE, pr="runtime: other\n")

    spec = load_experiment(tmp_path, settings_of(tmp_path), env="pr")

    sources = {setting.key: (setting.source, Path(setting.where.rpartition(":")[0]).name) for setting in spec.settings}
    assert sources["name"] == ("base", "experiment.yaml")
    assert sources["runtime"] == ("overlay", "experiment.pr.yaml")
    assert sources["repeats"][0] == "default"


def test_a_callable_is_a_flow(tmp_path: Path) -> None:
    make_use_case(tmp_path, BASE.replace("flow: flows/main", "entry: app:answer"))

    spec = load_experiment(tmp_path, settings_of(tmp_path))

    assert spec.flow == "app:answer"
