"""What a host imports before its first row: each module costs every command that starts one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from genaiops.runs import FlowRequest, run_row
from genaiops.settings import load_settings

HEAVY = "openai pydantic rich numpy scipy jinja2 aiohttp starlette uvicorn jsonschema click httpx2 genai_prices sqlite3"


def test_a_python_flow_loads_none_of_the_heavy_packages(tmp_path: Path) -> None:
    flow = tmp_path / "flow"
    flow.mkdir()
    (flow / "flow.dag.yaml").write_text(
        "inputs:\n  x: {type: string}\noutputs:\n  y: {type: object, reference: '${look.output}'}\nnodes:\n"
        "- {name: look, type: python, source: {type: code, path: look.py}, inputs: {x: '${inputs.x}'}}\n"
    )
    (flow / "look.py").write_text(
        "import sys\nfrom promptflow.core import tool\n"
        "@tool\ndef look(x: str) -> list:\n    return sorted(sys.modules)\n"
    )
    settings = load_settings(cwd=tmp_path, environ={"GENAIOPS_HOME": str(tmp_path / "state")})

    modules = run_row(FlowRequest(flow=flow), {"x": "a"}, settings)["outputs"]["y"]

    assert not set(HEAVY.split()).intersection(modules)


def test_a_tool_that_asks_for_it_keeps_its_results_without_a_word_in_the_flow_file(tmp_path: Path) -> None:
    flow = tmp_path / "flow"
    flow.mkdir()
    (flow / "flow.dag.yaml").write_text(
        "inputs:\n  x: {type: string}\noutputs:\n  y: {type: object, reference: '${slow.output}'}\nnodes:\n"
        "- {name: slow, type: python, source: {type: code, path: slow.py}, inputs: {x: '${inputs.x}'}}\n"
    )
    (flow / "slow.py").write_text(
        "import uuid\nfrom promptflow.core import tool\n"
        "@tool(cache=True)\ndef slow(x: str) -> str:\n    return x + uuid.uuid4().hex\n"
    )
    settings = load_settings(cwd=tmp_path, environ={"GENAIOPS_HOME": str(tmp_path / "state")})

    first, again = (run_row(FlowRequest(flow=flow), {"x": "a"}, settings)["outputs"]["y"] for _ in range(2))

    assert first == again


def test_a_host_without_a_parent_ends() -> None:
    done = subprocess.run([sys.executable, "-m", "genaiops.host"], stdin=subprocess.DEVNULL, timeout=20, check=False)

    assert done.returncode == 0
