"""Plain Python evaluators: found without import, called by row or once for the whole dataset."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from genaiops.errors import SettingsError
from genaiops.evaluators import eval_functions, write_contract_flow, write_row_flow
from genaiops.flows import load_flow

CODE = """
import helper_of_the_app
raise_if_imported = None

def eval_length(answer, unit="letters"):
    return len(answer)

async def eval_async(answer, *, truth):
    return {"same": answer == truth, "why": "because"}

def eval_use_case(run_name, data_id, column_mapping, output_path, azure_service={}):
    return {"metrics": {"score": helper_of_the_app.VALUE}, "rows": [{"outputs.x": 1}], "seen": column_mapping}

def helper():
    pass
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "evals").mkdir()
    (tmp_path / "evals/eval_things.py").write_text(dedent(CODE), encoding="utf-8")
    (tmp_path / "evals/other.py").write_text("def eval_not_found(): pass\n", encoding="utf-8")
    (tmp_path / "app").mkdir()
    (tmp_path / "app/helper_of_the_app.py").write_text("VALUE = 7\n", encoding="utf-8")
    return tmp_path


def call(flow: Path, **inputs: object) -> dict:
    """In a process of its own, as a host does."""
    code = f"import json, sys; sys.path.insert(0, {str(flow)!r}); from evaluate_rows import evaluate; "
    code += "print(json.dumps(evaluate(**json.loads(sys.argv[1]))))"
    run = subprocess.run(
        [sys.executable, "-c", code, json.dumps(inputs)], capture_output=True, text=True, check=True, cwd=flow
    )
    return json.loads(run.stdout)


def test_functions_are_read_without_importing_them(folder: Path) -> None:
    found = {function.name: function for function in eval_functions(folder / "evals")}

    assert set(found) == {"eval_length", "eval_async", "eval_use_case"}
    assert found["eval_length"].required == ("answer",)
    assert found["eval_async"].parameters == ("answer", "truth")
    assert "helper_of_the_app" not in sys.modules


def test_a_function_is_row_wise_when_the_mapping_gives_all_it_needs(folder: Path) -> None:
    length, _, use_case = eval_functions(folder / "evals")

    assert length.is_row_wise(["answer", "context"])
    assert not length.is_row_wise(["context"])
    assert not use_case.is_row_wise(["context", "answer"])
    assert use_case.fits_contract


def test_a_folder_without_evaluators_says_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="eval_"):
        eval_functions(tmp_path)


def test_a_row_wise_function_gets_what_it_takes_and_its_value_a_name(folder: Path) -> None:
    length, other, _ = eval_functions(folder / "evals")
    folders = [folder / "app"]

    first = write_row_flow(folder / "made1", [length], inputs=["answer", "context"], folders=folders)
    second = write_row_flow(folder / "made2", [other], inputs=["answer", "truth"], folders=folders)

    assert call(first, answer="four", context="x") == {"length": 4}
    assert call(second, answer="a", truth="a") == {"same": True, "why": "because"}
    assert set(load_flow(first).inputs) == {"answer", "context"}


def test_the_contract_gives_run_data_mapping_and_output_folder(folder: Path) -> None:
    use_case = eval_functions(folder / "evals")[-1]
    flow = write_contract_flow(folder / "made", use_case, workdir=folder, folders=[folder / "app"])

    result = call(flow, run_name="r", data_path="d.jsonl", mapping={"a": "${target.b}"}, output_path=str(folder))

    assert result["result"]["metrics"] == {"score": 7}
    assert result["result"]["seen"] == {"a": "${target.b}"}


def test_a_hostile_folder_name_stays_data(tmp_path: Path) -> None:
    odd = tmp_path / "a\"b'); import os"
    odd.mkdir()
    (odd / "eval_x.py").write_text("def eval_x(a):\n    return 1\n", encoding="utf-8")
    (function,) = eval_functions(odd)

    flow = write_row_flow(tmp_path / "made", [function], inputs=["a"], folders=[odd])

    assert call(flow, a=1) == {"x": 1}


def test_a_function_that_fails_leaves_the_others_their_scores(tmp_path: Path) -> None:
    (tmp_path / "eval_two.py").write_text("def eval_a(x):\n    return 1 / x\ndef eval_b(x):\n    return x\n")

    flow = write_row_flow(tmp_path / "made", eval_functions(tmp_path), inputs=["x"], folders=[])

    assert call(flow, x=0) == {"b": 0, "__errors__": {"a": "ZeroDivisionError: division by zero"}}
