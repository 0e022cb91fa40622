"""`genaiops pf …`: the commands of existing CI scripts, as processes (flow-format.md §9.1)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.compat.test_client import FLOW, HALVE, TOTAL


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / ".genaiops").mkdir()
    (tmp_path / "flow").mkdir()
    for name, text in {"flow.dag.yaml": FLOW, "halve.py": HALVE, "total.py": TOTAL}.items():
        (tmp_path / "flow" / name).write_text(text, encoding="utf-8")
    (tmp_path / "data.jsonl").write_text("".join(f'{{"n": {n}}}\n' for n in (1, 2, 3, 4)), encoding="utf-8")
    return tmp_path


class Done:
    """What a command printed and how it ended."""

    def __init__(self, project: Path, *words: str, **variables: str) -> None:
        environ = {key: value for key, value in os.environ.items() if not key.startswith(("GENAIOPS", "AOAI"))}
        done = subprocess.run(
            [sys.executable, "-m", "genaiops", "pf", *words],
            cwd=project,
            env={**environ, **variables},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr

    def json(self) -> Any:
        return json.loads(self.out)


def test_flow_test_prints_outputs_alone_and_leaves_its_files(project: Path) -> None:
    done = Done(project, "flow", "test", "--flow", "flow", "--inputs", "n=4")

    assert (done.code, done.json()) == (0, {"half": 2.0})
    assert "halving 4" in done.err
    left = {path.name for path in (project / "flow" / ".promptflow").iterdir()}
    assert left == {"flow.detail.json", "flow.output.json", "flow.metrics.json", "flow.log"}


def test_flow_test_reads_inputs_from_a_file_and_runs_a_node(project: Path) -> None:
    assert Done(project, "flow", "test", "--flow", "flow", "--inputs", "data.jsonl").json() == {"half": 0.5}
    assert Done(project, "flow", "test", "--flow", "flow", "--node", "halve", "--inputs", "n=8").json() == 4.0


def test_flow_test_fails_with_the_place_of_the_mistake(project: Path) -> None:
    failed = Done(project, "flow", "test", "--flow", "flow", "--inputs", "n=3")
    missing = Done(project, "flow", "test", "--flow", "flow")

    assert failed.code == 1
    assert "halve.py:7: Execution failure in 'halve': (ValueError) three" in failed.err
    assert missing.code == 2
    assert "Required input(s) ['n'] are missing" in missing.err
    assert "Traceback" not in failed.err + missing.err


def test_flow_validate_prints_json_and_says_by_its_exit_code(project: Path) -> None:
    assert Done(project, "flow", "validate", "--source", "flow").json() == {"result": "Succeeded"}

    (project / "flow" / "halve.py").unlink()
    done = Done(project, "flow", "validate", "--source", "flow")
    assert done.code == 1
    assert done.json()["result"] == "Failed"
    assert "halve.py" in done.json()["errors"][0]["message"]


def test_a_run_is_created_shown_and_deleted(project: Path) -> None:
    words = ("--flow", "flow", "--data", "data.jsonl", "--column-mapping", "n=${data.n}", "--name", "r1")
    created = Done(project, "run", "create", *words, "--stream")

    assert created.code == 0
    assert 'Run status: "Completed"' in created.out
    form = json.loads(created.out[created.out.index("\n{") :])
    assert (form["name"], form["status"]) == ("r1", "Completed")
    assert Path(form["output"], "output.jsonl").is_file()
    details = Done(project, "run", "show-details", "-n", "r1")
    assert [line.split()[-1] for line in details.out.splitlines()[1:]] == ["0.5", "1.0", "(Failed)", "2.0"]
    assert Done(project, "run", "show-metrics", "-n", "r1").json() == {"total": 3.5}
    assert [run["name"] for run in Done(project, "run", "list").json()] == ["r1"]
    assert Done(project, "run", "delete", "-n", "r1").code == 2
    assert Done(project, "run", "delete", "-n", "r", "--yes").code == 2
    assert Done(project, "run", "delete", "-n", "r1", "--yes").code == 0
    assert Done(project, "run", "show", "-n", "r1").code == 2


def test_a_run_in_which_every_row_fails_exits_1(project: Path) -> None:
    (project / "bad.jsonl").write_text('{"n": 3}\n', encoding="utf-8")

    done = Done(project, "run", "create", "--flow", "flow", "--data", "bad.jsonl", "--column-mapping", "n=${data.n}")

    assert done.code == 1
    assert done.json()["status"] == "Failed"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--flow", "flow", "--data", "nothing.jsonl"), "nothing.jsonl"),
        (("--flow", "flow", "--data", "data.jsonl", "--column-mapping", "n=${data.m}"), "${data.m}"),
        (("--flow", "flow", "--data", "data.jsonl", "--variant", "${halve.v9}"), "does not use variants"),
        (("--data", "data.jsonl"), "needs a flow"),
    ],
)
def test_mistakes_exit_2_before_anything_runs(project: Path, words: tuple[str, ...], told: str) -> None:
    done = Done(project, "run", "create", *words)

    assert done.code == 2
    assert told in done.err
    assert not (project / ".genaiops" / "runs").exists() or not list((project / ".genaiops" / "runs").iterdir())


def test_a_run_file_and_the_command_line_go_together(project: Path) -> None:
    (project / "run.yaml").write_text("flow: flow\ndata: data.jsonl\nname: one\ntags: {a: b}\n", encoding="utf-8")

    done = Done(project, "run", "create", "-f", "run.yaml", "--name", "two", "--set", "tags.c=d")

    assert done.json()["name"] == "two"
    assert done.json()["tags"] == {"a": "b", "c": "d"}


def test_run_output_path_says_where_the_layout_goes(project: Path) -> None:
    assert Done(project, "config", "set", "run.output_path=out").code == 0
    Done(project, "run", "create", "--flow", "flow", "--data", "data.jsonl", "--name", "r1")

    assert (project / "out" / "r1" / "flow_outputs" / "output.jsonl").is_file()
    assert Done(project, "config", "show").json() == {"run": {"output_path": "out"}}


def test_connections_are_kept_shown_and_never_tell_a_secret(project: Path) -> None:
    (project / "aoai.yaml").write_text("name: aoai\ntype: azure_open_ai\napi_base: https://x\n", encoding="utf-8")

    refused = Done(project, "connection", "create", "--file", "aoai.yaml")
    by_variable = Done(project, "connection", "create", "--file", "aoai.yaml", AOAI_API_KEY="planted-1")
    kept = Done(
        project, "connection", "create", "--file", "aoai.yaml", "--set", "api_key=planted-2", "api_base=https://y"
    )

    assert refused.code == 2
    assert "AOAI_API_KEY" in refused.err
    assert by_variable.json()["api_key"] == "******"
    assert (kept.json()["api_base"], kept.json()["api_key"]) == ("https://y", "******")
    assert [form["name"] for form in Done(project, "connection", "list").json()] == ["aoai"]
    assert Done(project, "connection", "delete", "-n", "aoai", "--yes").code == 0
    assert Done(project, "connection", "show", "-n", "nope").code == 2


@pytest.mark.parametrize("kind", ["standard", "evaluation"])
def test_a_new_flow_runs_at_once(project: Path, kind: str) -> None:
    assert Done(project, "flow", "init", "--flow", "fresh", "--type", kind).code == 0
    assert Done(project, "flow", "test", "--flow", "fresh").code == 0


def test_a_flow_is_made_around_a_function(project: Path) -> None:
    fresh = project / "fresh"
    fresh.mkdir()
    (fresh / "app.py").write_text("def ask(prompt: str, times: int = 2) -> str:\n    return prompt * times\n", "utf-8")
    (fresh / "prompt.jinja2").write_text("Hi {{name}}.", encoding="utf-8")

    words = ("--entry", "app.py", "--function", "ask", "--prompt-template", "prompt=prompt.jinja2")
    assert Done(project, "flow", "init", "--flow", "fresh", *words).code == 0

    assert Done(project, "flow", "test", "--flow", "fresh", "--inputs", "name=you").json() == {
        "output": "Hi you.Hi you."
    }


def test_a_folder_of_prompt_flow_becomes_a_run(project: Path) -> None:
    Done(project, "run", "create", "--flow", "flow", "--data", "data.jsonl", "--name", "r1")

    layout = project / ".genaiops" / "runs" / "r1" / "promptflow"
    done = Done(project, "run", "create", "--source", str(layout), "--name", "again")

    assert (done.json()["name"], done.json()["status"]) == ("again", "Failed")
    assert Done(project, "run", "show-metrics", "-n", "again").json() == {"total": 3.5}


def test_versions_are_told(project: Path) -> None:
    assert Done(project, "--version").json()["promptflow"] == "1.18.5"
    assert Done(project, "-v").json()["promptflow"] == "1.18.5"


def test_the_beginning_of_an_option_is_enough_and_it_may_be_followed_by_nothing(project: Path) -> None:
    done = Done(project, "flow", "test", "--flow", "flow", "--env", "--inp", "n=4")

    assert (done.code, done.json()) == (0, {"half": 2.0})


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("service", "start"), "nothing runs in the background"),
        (("trace", "delete", "--collection", "x"), "traces.jsonl"),
        (("run", "export", "--name", "x"), "pf run show"),
        (("flow", "export", "--source", "."), "pf flow build --format docker"),
    ],
)
def test_commands_without_a_counterpart_say_what_to_use(project: Path, words: tuple[str, ...], told: str) -> None:
    done = Done(project, *words)

    assert done.code == 2
    assert told in done.err


def test_a_run_that_is_not_there_is_wrong_input_for_every_command(project: Path) -> None:
    for words in (("update", "--set", "display_name=x"), ("show",), ("archive",)):
        assert Done(project, "run", words[0], "--name", "nope", *words[1:]).code == 2
