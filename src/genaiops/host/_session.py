"""One host and its parent: messages in, messages out, any number of plans."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genaiops.errors import GenaiopsError, InputError, suggest
from genaiops.host._encode import encode_json
from genaiops.host._outbox import Outbox
from genaiops.host._pipe import ParentPipe
from genaiops.host._rows import IDLE_S, TICK_S, LoopRows, RowRunner, ThreadRows
from genaiops.host._spans import SpanWriter
from genaiops.host._stream import run_streaming
from genaiops.host._workspace import Workspace, refusal, with_all_missing

if TYPE_CHECKING:
    from genaiops.flows import Flow, Outcome, Plan

Message = dict[str, Any]


class OpenPlan:
    """A plan and what runs its rows; `asked` is how many at once a person asked for, 0 for nobody did."""

    def __init__(self, plan: Plan, outbox: Outbox, rows: RowRunner, spans: SpanWriter, *, asked: int) -> None:
        self.asked = asked
        self.plan = plan
        self.outbox = outbox
        self.rows = rows
        self.spans = spans

    async def close(self) -> list[str]:
        """Stop its rows and let go of what it holds; what people should know of it."""
        self.rows.close()
        self.outbox.flush()
        trouble = await asyncio.to_thread(self.spans.close)
        await self.plan.close()
        return [trouble] if trouble else []


class Session:
    """Answers the parent's messages."""

    def __init__(self, pipe: ParentPipe, hello: Message, loop: asyncio.AbstractEventLoop) -> None:
        self._pipe = pipe
        self._hello = hello
        self._loop = loop
        self._workspace = Workspace(hello)
        self._plans: dict[int, OpenPlan] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopped = asyncio.Event()
        self._wake = asyncio.Event()
        self._is_idle = False
        redactor = self._workspace.redactor
        self._redact: Callable[[bytes], bytes] = redactor.bytes if redactor else lambda data: data

    async def serve(self) -> None:
        """Until the parent says `stop`."""
        threading.Thread(target=self._read, name="genaiops-pipe", daemon=True).start()
        while not self._stopped.is_set():
            plans = list(self._plans.values())
            for opened in plans:
                opened.rows.tick()
            self._wake.clear()
            # Said before looking, so that rows that come in meanwhile either are seen or wake us.
            self._is_idle = True
            is_busy = any(opened.rows.is_busy for opened in plans)
            self._is_idle = not is_busy
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), TICK_S if is_busy else IDLE_S)
        for opened in list(self._plans.values()):
            await opened.close()
        await self._workspace.close()

    def _read(self) -> None:
        """In a thread of its own, so that the end of the parent is noticed whatever the loop is doing."""
        try:
            while (message := self._pipe.read()) is not None:
                self._take(*message)
        except BaseException as error:  # noqa: BLE001 - a host that cannot hear its parent any more must not stay
            traceback.print_exception(error)
            os._exit(1)
        os._exit(0)

    def _take(self, header: Message, body: bytes) -> None:
        if header["type"] != "rows":
            self._loop.call_soon_threadsafe(self._handle, header, body)
            return
        opened = self._plans.get(header["plan"])
        if opened is not None:
            opened.rows.add(json.loads(body))
        if self._is_idle:
            self._is_idle = False
            self._loop.call_soon_threadsafe(self._wake.set)

    def _handle(self, header: Message, body: bytes) -> None:
        task = self._loop.create_task(self._answer(header, body))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, header: Message, body: bytes) -> None:
        answer = {"id": header.get("id"), "plan": header.get("plan")}
        try:
            result, payload = await self._results(header, json.loads(body) if body else {})
            self._pipe.write({"type": "answer", **answer, **result}, self._redact(payload))
        except BaseException as error:  # flow code runs in here; the parent decides
            if isinstance(error, asyncio.CancelledError):
                raise
            if self._hello.get("debug"):
                traceback.print_exception(error)
            refused = json.loads(self._redact(encode_json(refusal(error))))
            self._pipe.write({"type": "refused", **answer, **refused})

    async def _results(self, header: Message, body: Message) -> tuple[Message, bytes]:
        kind = header["type"]
        if kind == "stop":
            self._stopped.set()
            self._wake.set()
            return {}, b""
        if kind == "stats":
            return {"stats": self._stats()}, b""
        if kind == "open":
            return await self._open(header["plan"], body), b""
        if kind == "prepare":
            await asyncio.to_thread(self._workspace.prepare, will_call=body["will_call"])
            return {}, b""
        opened = self._plans[header["plan"]]
        if kind == "close":
            del self._plans[header["plan"]]
            return {"warnings": await opened.close()}, b""
        if kind == "hold":
            dropped = opened.rows.drop_waiting()
            opened.outbox.flush()
            return {"dropped": dropped}, b""
        if kind == "aggregate":
            return {}, await self._aggregate(opened.plan, Path(body["outcomes"]))
        if kind == "single":
            return {}, await self._single(opened, body)
        raise ValueError(f"unknown message {kind!r}")

    async def _open(self, number: int, request: Message) -> Message:
        from genaiops.flows import open_plan

        flow = self._workspace.load(request)
        services = self._workspace.services(flow, request)
        wide, narrow = request["limits"]
        limit = request.get("concurrency") or wide
        how = {"init": request.get("init"), "concurrency": limit, "streaming": bool(request.get("streaming"))}
        try:
            plan = await open_plan(flow, services, **how)
        except GenaiopsError as error:
            raise with_all_missing(error, flow, self._workspace.store) from error
        spans = SpanWriter(
            share=request.get("trace_share", 1.0),
            resource=request.get("resource") or {},
            environ=os.environ,
            redact=self._redact,
        )
        repeat = int(request.get("repeat") or 0)
        outbox = Outbox(self._pipe, number, redact=self._redact, spans=spans, repeat=repeat)
        rows: RowRunner
        if plan.is_sync:
            # Rows that wait cost nothing on the loop and a thread each here.
            limit = request.get("concurrency") or narrow
        options: dict[str, Any] = {"number": number, "limit": limit, "timeout_s": request.get("timeout_s")}
        if plan.is_sync:
            rows = ThreadRows(plan, outbox, repeat=repeat, **options)
        else:
            rows = LoopRows(plan, outbox, self._loop, repeat=repeat, **options)
        self._plans[number] = OpenPlan(plan, outbox, rows, spans, asked=request.get("concurrency") or 0)
        self._workspace.expect(sum(opened.asked for opened in self._plans.values()))
        return describe_plan(plan, limit)

    async def _single(self, opened: OpenPlan, request: Message) -> bytes:
        plan: Plan = opened.plan
        outcome: Outcome
        if request.get("node"):
            _require_node(plan.flow, request["node"])
            outcome = await plan.run_node(request["node"], request["inputs"])
        elif request.get("stream"):
            chunks = self._chunk_writer(opened)
            outcome = await run_streaming(plan, request["inputs"], chunks, timeout_s=request.get("timeout_s"))
        elif request.get("aggregate", True):
            outcome = await plan.run_single(request["inputs"], timeout_s=request.get("timeout_s"))
        else:
            outcome = await plan.run(request["inputs"], timeout_s=request.get("timeout_s"))
        form = outcome.to_json()
        form |= {"metrics": outcome.metrics, **failed_by_aggregation(outcome)}
        if outcome.value is not None and not outcome.outputs:
            form["value"] = outcome.value
        elif list(form["outputs"]) == ["output"] and is_single_value(plan, outcome.value):
            # What a person who called the function would have got.
            form["value"] = form["outputs"]["output"]
        if request.get("spans") and outcome.spans:
            form["spans"] = json.loads(opened.spans.lines([outcome.spans]))
        return encode_json(form)

    def _chunk_writer(self, opened: OpenPlan) -> Callable[[str, str], None]:
        number = next(number for number, plan in self._plans.items() if plan is opened)

        def write(output: str, piece: str) -> None:
            body = self._redact(piece.encode("utf-8", "replace"))
            self._pipe.write({"type": "chunk", "plan": number, "output": output}, body)

        return write

    async def _aggregate(self, plan: Plan, path: Path) -> bytes:
        from genaiops.flows import AggregationInputs

        inputs = await asyncio.to_thread(AggregationInputs.from_outcomes, read_for_aggregation(path))
        result = await plan.aggregate(inputs)
        return encode_json(result.to_json())

    def _stats(self) -> Any:
        models = self._workspace.opened_models
        if models is None:
            return {}
        stats = models.stats
        return stats.to_json() if hasattr(stats, "to_json") else stats


def _require_node(flow: Flow, name: str) -> None:
    names = [node.name for node in flow.nodes]
    if name not in names:
        raise InputError(
            f"The flow has no node {name!r}.",
            file=flow.path,
            hint=suggest(name, names),
            kind="SingleNodeValidationError",
        )


def failed_by_aggregation(outcome: Outcome) -> Message:
    """Status and error of a run of one row whose aggregation failed; nothing when it did not."""
    if outcome.status != "completed":
        return {}
    # A row with a failed node of its own is not completed.
    errors = [node.error for node in outcome.nodes.values() if node.status == "failed"]
    return {"status": "failed", "error": errors[0]} if errors else {}


def is_single_value(plan: Plan, value: Any) -> bool:
    """A function, a class or a prompty gave this, and it has no names for its parts."""
    return plan.flow.kind != "graph" and not isinstance(value, dict) and not is_dataclass(value)


def describe_plan(plan: Plan, limit: int) -> Message:
    """What the parent must know of an opened flow."""
    flow = plan.flow
    return {
        "flow": {
            "name": flow.name,
            "kind": flow.kind,
            "path": str(flow.path),
            "folder": str(flow.folder),
            "chosen": dict(flow.chosen),
        },
        "inputs": {name: _input_form(item) for name, item in plan.signature.items()},
        "outputs": sorted(flow.outputs),
        "init": {name: _input_form(item) for name, item in flow.init.items()},
        "chat": [flow.chat.input, flow.chat.history, flow.chat.output] if flow.chat else None,
        "has_sample": bool(flow.sample.get("inputs")),
        "takes_any": bool(getattr(plan, "takes_any", False)),
        "has_aggregation": plan.has_aggregation,
        "is_sync": plan.is_sync,
        "concurrency": limit,
        "warnings": [finding.to_json() for finding in flow.findings],
    }


def _input_form(item: Any) -> Message:
    # A default of null is none for a graph: prompt flow asks for a value then. A Python function simply has it.
    has_default = item.has_default and (item.default is not None or item.is_optional)
    return {"type": item.type, "has_default": has_default, "default": item.default}


def read_for_aggregation(path: Path) -> Iterator[Message]:
    """What aggregation needs of each row, one at a time; the file holds one line a row, in order."""
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                return
            form = json.loads(line)
            yield {key: form.get(key) for key in ("row", "status", "aggregation", "outputs")}


def run_session(pipe: ParentPipe) -> int:
    """Wait for the first message and serve until the last; the exit code of the process."""
    first = pipe.read()
    if first is None:
        return 0
    header, body = first
    hello = {**header, **json.loads(body)}
    with asyncio.Runner() as runner:
        loop = runner.get_loop()

        async def serve() -> None:
            await Session(pipe, hello, loop).serve()

        runner.run(serve())
    return 0
