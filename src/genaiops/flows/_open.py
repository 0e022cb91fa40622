"""Opening a flow."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from genaiops.flows._model import Flow
from genaiops.flows._outcome import Services
from genaiops.flows._plan import Plan


async def open_plan(
    flow: Flow,
    services: Services | None = None,
    *,
    init: Mapping[str, Any] | None = None,
    concurrency: int = 1,
    streaming: bool = False,
) -> Plan:
    """Import the flow's code and make it ready to run rows.

    The flow's folder must be the working directory and stand first on `sys.path`, which the flow host sees to.

    Args:
        flow: What `load_flow` gave.
        services: Connections, models, kept results; nothing by default.
        init: Constructor arguments of a class flow, or overrides of a prompty.
        concurrency: How many rows may be on their way at once.
        streaming: Ask nodes to stream whose output is an output of the flow.

    Raises:
        FlowDefinitionError: Something cannot be loaded (kind `ResolveToolError`, `PythonLoadError`, …).
        ConnectionSettingsError: A connection is unknown or incomplete.
    """
    services = services or Services()
    # The host has put the folder there already; a notebook has not.
    if str(flow.folder) not in sys.path:
        sys.path.insert(0, str(flow.folder))
    if flow.kind == "graph":
        from genaiops.flows._graph_plan import GraphPlan

        return GraphPlan(flow, services, concurrency=concurrency, streaming=streaming)
    if flow.kind == "prompty":
        from genaiops.flows._prompty_plan import PromptyPlan

        return PromptyPlan(flow, services, init=init, concurrency=concurrency, streaming=streaming)
    from genaiops.flows._entry_plan import EntryPlan

    return EntryPlan(flow, services, init=init, concurrency=concurrency)
