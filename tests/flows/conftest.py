"""Flows written into a folder, and `promptflow` as flow code imports it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any

import pytest

import genaiops.flows as flows
import genaiops.tracing as tracing
from genaiops.flows import Outcome, Services, load_flow, open_plan

WriteFlow = Callable[..., Path]


@pytest.fixture
def write_flow(tmp_path: Path) -> WriteFlow:
    """Write files into a folder: `write_flow({"flow.dag.yaml": "…", "a.py": "…"})`."""

    def write(files: Mapping[str, str], name: str = "flow") -> Path:
        folder = tmp_path / name
        for inner, text in files.items():
            path = folder / inner
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text), encoding="utf-8")
        return folder

    return write


@pytest.fixture(autouse=True)
def promptflow_imports(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stand in for `promptflow.core` and its neighbours, as the flow host does with `compat`."""
    served = {
        "promptflow": {},
        "promptflow.core": {name: getattr(flows, name) for name in ("tool", "ToolProvider", "log_metric")},
        "promptflow.tracing": {"trace": tracing.trace},
        "promptflow.exceptions": {
            name: getattr(flows, name) for name in ("UserErrorException", "SystemErrorException")
        },
        "promptflow.contracts": {},
        "promptflow.contracts.types": {name: getattr(flows, name) for name in ("FilePath", "Secret")},
    }
    for name, names in served.items():
        module = ModuleType(name)
        module.__dict__.update(names)
        monkeypatch.setitem(sys.modules, name, module)
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if "pytest-of" in file:
            del sys.modules[name]


def run_flow(source: Any, inputs: Mapping[str, Any] | None = None, **options: Any) -> Outcome:
    """Load, open and run one row; `init`, `services` and `streaming` go to `open_plan`, the rest to `run`."""

    async def main() -> Outcome:
        opening = {key: options.pop(key) for key in ("init", "streaming", "concurrency") if key in options}
        services = options.pop("services", None) or Services()
        loading = {key: options.pop(key) for key in ("variant", "overrides", "connections") if key in options}
        plan = await open_plan(load_flow(source, **loading), services, **opening)
        try:
            if options.pop("single", False):
                return await plan.run_single(inputs or {})
            return await plan.run(inputs or {}, **options)
        finally:
            await plan.close()

    return asyncio.run(main())


@pytest.fixture
def run() -> Callable[..., Outcome]:
    """`run_flow` as a fixture."""
    return run_flow
