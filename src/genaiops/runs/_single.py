"""Single rows: one flow, opened in a host of its own, row after row as a person asks for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from genaiops.runs._host_client import HostClient, PlanHandle
from genaiops.runs._setup import host_setup, open_request
from genaiops.runs._spec import FlowRequest
from genaiops.settings import Settings

if TYPE_CHECKING:
    from genaiops.connections import ConnectionStore

Result = TypeVar("Result")
_NODE_THREADS = 8


class FlowSession:
    """A flow that answers one row after the other; a context manager.

    Args:
        request: The flow and how its host is set up.
        settings: The surroundings.
        store: Connections; by default those of the environment and of connection files.
        on_log: Called with each line that the flow's code prints.
        on_chunk: Ask for a stream; called with the name of an output and each piece of it as it comes.
        timeout_s: A row fails after so many seconds; None waits for ever.

    Raises:
        InputError: The flow cannot be run as asked (on entering).
        HostError: Its process cannot be started, or died.

    Example:
        >>> with FlowSession(FlowRequest(flow="flows/echo"), load_settings()) as session:  # doctest: +SKIP
        ...     session.run({"text": "hi"})["outputs"]
        {'echo': 'hi'}
    """

    def __init__(
        self,
        request: FlowRequest,
        settings: Settings,
        *,
        store: ConnectionStore | None = None,
        on_log: Callable[[str], None] | None = None,
        on_chunk: Callable[[str, str], None] | None = None,
        timeout_s: float | None = None,
    ) -> None:
        if store is None:
            from genaiops.connections import ConnectionStore

            store = ConnectionStore.load(settings)
        self._setup = host_setup(request, settings, store)
        self._request = open_request(
            request, settings, concurrency=_NODE_THREADS, timeout_s=timeout_s, streaming=on_chunk is not None
        )
        self._timeout_s = timeout_s
        self._on_log = on_log
        self._on_chunk = on_chunk
        self._redact = store.redactor()
        self._runner = asyncio.Runner()
        self._host: HostClient | None = None
        self._plan: PlanHandle | None = None

    def __enter__(self) -> FlowSession:
        try:
            self._plan = self._wait(self._open())
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(at_once=kind is not None)

    @property
    def about(self) -> Mapping[str, Any]:
        """What the host says of the flow: `flow`, `inputs`, `outputs`, `chat`, `has_aggregation`, `warnings`."""
        return self._opened().about

    def run(self, inputs: Mapping[str, Any], *, node: str | None = None, spans: bool = False) -> dict[str, Any]:
        """Run one row; aggregation nodes run on it alone.

        Args:
            inputs: The flow's inputs; for a node its own.
            node: Run this node only.
            spans: Give the row's spans too, as OTLP/JSON under `spans`.

        Returns:
            The outcome in the form of a line of `outcomes.jsonl`, with `metrics`.

        Raises:
            HostError: The flow's process died in this row.
            GenaiopsError: There is no such node.
        """
        options = {"node": node, "spans": spans, "timeout_s": self._timeout_s, "stream": self._on_chunk is not None}
        return self._wait(self._opened().run_single(inputs, **options))

    def close(self, *, at_once: bool = False) -> None:
        """End the flow's process."""
        host, self._host, self._plan = self._host, None, None
        if host is not None:
            self._wait(host.kill() if at_once else host.stop())
        self._runner.close()

    async def _open(self) -> PlanHandle:
        self._host = await HostClient.start(self._setup)
        self._host.on_log = self._take_log
        plan = await self._host.open(self._request)
        plan.on_chunk = self._on_chunk
        return plan

    def _opened(self) -> PlanHandle:
        if self._plan is None:
            raise RuntimeError("The session is not open; use it in a `with` statement.")
        return self._plan

    def _take_log(self, text: bytes) -> None:
        if self._on_log is not None:
            self._on_log(self._redact.bytes(text).decode("utf-8", "replace").rstrip("\r\n"))

    def _wait(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self._runner.run(work)


def run_row(
    request: FlowRequest,
    inputs: Mapping[str, Any],
    settings: Settings,
    *,
    store: ConnectionStore | None = None,
    node: str | None = None,
    timeout_s: float | None = None,
    on_log: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Run one row through a flow, as `FlowSession.run` does, and end its host."""
    with FlowSession(request, settings, store=store, on_log=on_log, timeout_s=timeout_s) as session:
        return session.run(inputs, node=node)
