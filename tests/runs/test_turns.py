"""Runs in one host go one after the other while they only look up what is kept, and together as soon as they wait."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

from genaiops.runs import RunRecord, RunSpec, run_batches
from genaiops.runs._turns import Turns
from genaiops.settings import Settings, load_settings
from genaiops.testing import ModelServer, ModelServerOptions

KEPT = {"ok": True, "kept": 1, "calls": 0}
FLOW = """
inputs:
  x: {type: int}
outputs:
  y: {type: string, reference: "${ask.output}"}
nodes:
- name: ask
  type: llm
  api: chat
  connection: c
  source: {type: code, path: ask.jinja2}
  inputs: {model: m, x: "${inputs.x}"}
"""


@pytest.fixture
def url() -> Iterator[str]:
    loop = asyncio.new_event_loop()
    server = ModelServer(ModelServerOptions(latency_ms=300))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(10)
    yield server.url.rstrip("/")
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def surroundings(folder: Path, url: str) -> Settings:
    base = url if url.endswith("/v1") else f"{url}/v1"
    environ = {"GENAIOPS_HOME": str(folder / "state"), "C_API_KEY": "some-key-of-ours", "C_API_BASE": base}
    return load_settings(cwd=folder, environ=environ)


def spans_of(record: RunRecord) -> tuple[float, float]:
    """When the first row of a run began and when the last one ended."""
    spans = [
        span
        for line in (record.path / "traces.jsonl").read_text().splitlines()
        for resource in json.loads(line)["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]
    return min(int(s["startTimeUnixNano"]) for s in spans), max(int(s["endTimeUnixNano"]) for s in spans)


def test_kept_rows_of_one_run_come_before_those_of_the_next_and_fresh_ones_beside_them(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = tmp_path / "flow"
    flow.mkdir()
    (flow / "flow.dag.yaml").write_text(FLOW)
    (flow / "ask.jinja2").write_text("user:\n{{x}}\n")
    specs = []
    for number in range(3):
        rows = tmp_path / f"rows{number}.jsonl"
        rows.write_text("".join(json.dumps({"x": 1000 * number + row}) + "\n" for row in range(80)))
        specs.append(RunSpec(flow=flow, data=rows, concurrency=10))
    settings = surroundings(tmp_path, url)

    fresh = run_batches(specs, settings)
    # However busy this machine is: a host that gets no processor is as silent as one that waits for a server.
    monkeypatch.setattr("genaiops.runs._turns._SILENCE_S", 60.0)
    kept = run_batches(specs, settings)

    assert [record.model_calls for record in fresh] == [80, 80, 80]
    assert [(record.model_calls, record.kept) for record in kept] == [(0, 80)] * 3
    began, ended = zip(*map(spans_of, fresh), strict=True)
    assert max(began) < min(ended)
    (_, first), (second, second_end), (third, _) = sorted(map(spans_of, kept))
    assert first <= second
    assert second_end <= third


def on_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """A test that awaits."""

    @wraps(test)
    def run(*args: Any, **named: Any) -> None:
        asyncio.run(test(*args, **named))

    return run


async def waits(turn: Any, seconds: float = 0.02) -> bool:
    """Whether a run has to wait."""
    try:
        async with asyncio.timeout(seconds):
            await turn.wait()
    except TimeoutError:
        return True
    return False


@pytest.mark.parametrize(
    "row", [{**KEPT, "calls": 1}, {**KEPT, "kept": 0}, {**KEPT, "ok": False}], ids=["calls", "keeps nothing", "fails"]
)
@on_a_loop
async def test_a_row_that_is_more_than_a_look_up_lets_all_go_on_together(row: dict[str, Any]) -> None:
    turns = Turns()
    first, second, third = (turns.next("host") for _ in range(3))
    await first.wait()
    first.see([KEPT, row])

    assert not await waits(second)
    assert not await waits(third)


@on_a_loop
async def test_a_run_waits_for_the_one_before_it_and_no_longer() -> None:
    turns = Turns()
    first, second, other = turns.next("host"), turns.next("host"), turns.next("another host")
    await first.wait()
    second_waits = asyncio.create_task(second.wait())
    for _ in range(20):
        first.see([KEPT])
        await asyncio.sleep(0.01)

    assert not second_waits.done()
    assert not await waits(other)
    first.end()
    await asyncio.wait_for(second_waits, 5)


@on_a_loop
async def test_a_host_that_is_silent_waits_for_something_and_all_go_on_together() -> None:
    turns = Turns()
    first, *others = (turns.next("host") for _ in range(4))
    await first.wait()

    await asyncio.wait_for(asyncio.gather(*(turn.wait() for turn in others)), 5)


@on_a_loop
async def test_a_run_that_never_began_holds_nobody_up_once_it_has_ended() -> None:
    turns = Turns()
    first, second = turns.next("host"), turns.next("host")
    first.end()

    await asyncio.wait_for(second.wait(), 5)
