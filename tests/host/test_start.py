"""What a host imports before its first row: each module costs every command that starts one."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from genaiops.connections import ConnectionStore
from genaiops.errors import InputError
from genaiops.runs import FlowRequest, HostClient, host_setup, open_request, run_row
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


@pytest.mark.skipif(sys.platform != "linux", reason="looks at the libraries of a process")
@pytest.mark.parametrize(("calls_model", "is_loaded"), [(True, True), (False, False)])
def test_a_host_that_prepares_loads_what_its_flow_needs_and_runs_nothing_of_it(
    tmp_path: Path, calls_model: bool, is_loaded: bool
) -> None:
    flow = tmp_path / "flow"
    flow.mkdir()
    model = (
        "- {name: ask, type: llm, api: chat, connection: c, source: {type: code, path: ask.jinja2}, inputs: {model: m}}"
    )
    (flow / "flow.dag.yaml").write_text(
        "inputs:\n  x: {type: string}\noutputs:\n  y: {type: string, reference: '${look.output}'}\nnodes:\n"
        "- {name: look, type: python, source: {type: code, path: look.py}, inputs: {x: '${inputs.x}'}}\n"
        + (f"{model}\n" if calls_model else "")
    )
    (flow / "ask.jinja2").write_text("user:\nhello\n")
    (flow / "look.py").write_text(
        "from pathlib import Path\nfrom promptflow.core import tool\nPath('ran').touch()\n"
        "@tool\ndef look(x: str) -> str:\n    return x\n"
    )
    environ = {"GENAIOPS_HOME": str(tmp_path / "state"), "C_API_KEY": "key", "C_API_BASE": "http://127.0.0.1:9/v1"}
    settings = load_settings(cwd=tmp_path, environ=environ)
    request = FlowRequest(flow=flow)

    async def main() -> tuple[str, list[bool]]:
        host = await HostClient.start(host_setup(request, settings, ConnectionStore.load(settings)))
        try:
            await host.prepare(will_call=True)
            libraries = Path(f"/proc/{host.pid}/maps").read_text()
            ran = [(flow / "ran").exists()]
            await host.open(open_request(request, settings))
            return libraries, [*ran, (flow / "ran").exists()]
        finally:
            await host.stop()

    libraries, ran = asyncio.run(main())

    assert ran == [False, True]
    assert ("aiohttp" in libraries) == is_loaded


def test_a_host_of_a_flow_that_cannot_be_read_prepares_nothing_and_says_so_when_it_is_opened(tmp_path: Path) -> None:
    (tmp_path / "flow").mkdir()
    (tmp_path / "flow/flow.dag.yaml").write_text("nodes: [")
    settings = load_settings(cwd=tmp_path, environ={"GENAIOPS_HOME": str(tmp_path / "state")})
    request = FlowRequest(flow=tmp_path / "flow")

    async def main() -> None:
        host = await HostClient.start(host_setup(request, settings, ConnectionStore.load(settings)))
        try:
            await host.prepare(will_call=True)
            with pytest.raises(InputError, match="YAML"):
                await host.open(open_request(request, settings))
        finally:
            await host.stop()

    asyncio.run(main())
