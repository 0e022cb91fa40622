"""Ask prompt flow 1.18.5 what it gives for each case, and keep it in `promptflow_1_18_5.json`.

python -m venv /tmp/pf && /tmp/pf/bin/pip install promptflow==1.18.5 promptflow-tools
/tmp/pf/bin/python tests/conformance/record.py
"""

from __future__ import annotations

import ast
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from cases import CASES, Case  # type: ignore[import-not-found]


def main() -> None:
    """Run every case and write the answers."""
    answers = {}
    for case in CASES:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for path, text in case.files.items():
                (folder / path).write_bytes(text.encode())
            os.chdir(folder)
            answers[case.name] = rendered(case, folder) if case.render is not None else ran(case, folder)
            os.chdir("/")
    assert len(answers) == len(CASES), "two cases have one name"
    file = Path(__file__).with_name("promptflow_1_18_5.json")
    file.write_text(json.dumps(answers, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def rendered(case: Case, folder: Path) -> dict[str, Any]:
    """The messages of a prompty, or the kind of error."""
    from promptflow.core import Prompty

    try:
        text = Prompty.load(source=str(folder / "p.prompty")).render(**case.render)
        return {"messages": ast.literal_eval(text)}
    except Exception as error:
        return {"error": type(error).__name__.replace("InvalidRoleError", "InvalidRole")}


def ran(case: Case, folder: Path) -> dict[str, Any]:
    """The rows of a graph, or why it does not load."""
    from promptflow.executor import FlowExecutor

    try:
        executor = FlowExecutor.create(folder / "flow.dag.yaml", connections={}, raise_ex=False)
    except Exception as error:
        inner = getattr(error, "inner_exception", None)
        return {"error": type(inner or error).__name__}
    results = []
    for index, row in enumerate(case.rows):
        try:
            results.append(executor.exec_line(dict(row), index=index))
        except Exception as error:
            return {"error": type(error).__name__}
    answer: dict[str, Any] = {"rows": [row_form(result) for result in results]}
    if executor.has_aggregation_node and len(case.rows) > 1:
        done = [result for result in results if result.run_info.status.value == "Completed"]
        inputs = columns([result.run_info.inputs for result in done])
        found = executor.exec_aggregation(inputs, columns([result.aggregation_inputs for result in done]))
        answer["metrics"] = found.metrics
    return answer


def row_form(result: Any) -> dict[str, Any]:
    """Status, outputs, kind of error and the nodes' statuses of one row."""
    info = result.run_info
    form: dict[str, Any] = {"status": info.status.value}
    if info.status.value == "Completed":
        form["outputs"] = {key: plain(value) for key, value in result.output.items() if key != "line_number"}
    else:
        form["error"] = leaf(info.error)
    # Prompt flow keeps no record of a node whose inputs cannot be read, and leaves others `Running` for ever.
    form["nodes"] = {
        name: node.status.value
        for name, node in result.node_run_infos.items()
        if node.status.value in ("Completed", "Bypassed")
    }
    return form


def plain(value: Any) -> Any:
    """A generator joined, as the devkit does."""
    return "".join(str(item) for item in value) if hasattr(value, "__next__") else value


def leaf(error: Mapping[str, Any]) -> str:
    """The innermost code."""
    while error.get("innerError"):
        error = error["innerError"]
    # The exception that a tool raises on purpose has the root's code for its own.
    return "UserErrorException" if error["code"] == "UserError" else str(error["code"])


def columns(rows: list[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Rows as columns."""
    return {key: [row[key] for row in rows] for key in (rows[0] if rows else {}) if key != "line_number"}


if __name__ == "__main__":
    main()
