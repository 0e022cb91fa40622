"""The page at `/` in a real browser: a chat for chat flows, a form for the others."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from genaiops.serving import RequestLog
from tests.accessibility import barriers
from tests.browser import NO_BROWSER, Page, find_browser, open_page

from .conftest import Serve, Served, write_flow
from .processes import wait_until
from .test_openai_route import CHAT, REPLY

pytestmark = [
    pytest.mark.skipif(find_browser() is None, reason=NO_BROWSER),
    pytest.mark.filterwarnings("default"),
    pytest.mark.timeout(180),
]

Found = TypeVar("Found")
FILL = """(() => {{ const field = document.getElementById({0!r}); field.value = {1!r};
field.dispatchEvent(new Event("input", {{bubbles: true}})); return true; }})()"""
SLOW = """
import time
from genaiops.flows import tool

@tool
def reply(question: str, history: list):
    for number in range(10_000):
        yield f"{number} "
        time.sleep(0.01)
"""
ANSWERS = "[...document.querySelectorAll('.said.assistant')].map(e => e.textContent)"
SEND = "document.getElementById('send').textContent"


def look(served: Served, folder: Path, at: Callable[[Page], Awaitable[Found]]) -> Found:
    """What somebody finds on the page; the browser itself must have nothing to complain about."""

    async def visit() -> tuple[Found, list[str]]:
        async with open_page(f"http://127.0.0.1:{served.port}/", folder / "profile") as page:
            return await at(page), page.problems

    found, problems = asyncio.run(visit())
    # A request that is refused is an answer like any other here; scripts that fail and broken policies are not.
    problems = [problem for problem in problems if '"source": "network"' not in problem]
    assert problems == []
    return found


async def click(page: Page, selector: str) -> None:
    await page.until(f"!!document.querySelector({selector!r})")
    await page.evaluate(f"document.querySelector({selector!r}).click()")


async def say(page: Page, text: str) -> None:
    await page.evaluate(FILL.format("message", text))
    await click(page, "#send")


async def picture(page: Any, name: str) -> None:
    """Pictures for people, where GENAIOPS_TEST_PICTURES names a folder."""
    folder = os.environ.get("GENAIOPS_TEST_PICTURES")
    if folder:
        await page.picture(Path(folder) / f"{name}.png")


def logged(folder: Path, kind: str) -> list[dict[str, Any]]:
    return [json.loads(line) for file in folder.glob(f"{kind}-*.jsonl") for line in file.read_text().splitlines()]


def test_a_talk_keeps_its_turns_and_shows_model_output_as_text(serve: Serve, tmp_path: Path) -> None:
    served = serve(write_flow(tmp_path / "talk", flow__dag__yaml=CHAT, reply__py=REPLY))

    async def at(page: Page) -> tuple[list[str], int, list[str]]:
        await picture(page, "chat-empty")
        for number, text in enumerate(["one", "<img src=x onerror=alert(1)>"], 1):
            await say(page, text)
            await page.until(f"document.querySelectorAll('.about').length === {number}")
        said = await page.evaluate(ANSWERS)
        images = await page.evaluate("document.querySelectorAll('#talk img').length")
        await picture(page, "chat")
        await click(page, "#fresh")
        await say(page, "again")
        await page.until("document.querySelectorAll('.about').length === 1")
        return said, images, await page.evaluate(ANSWERS)

    said, images, fresh = look(served, tmp_path, at)

    assert said == [
        "0 turns before. Now: one",
        "1 turns before. You asked one and I said 0 turns before. Now: one. Now: <img src=x onerror=alert(1)>",
    ]
    assert fresh == ["0 turns before. Now: again"]
    assert images == 0


def test_an_answer_grows_while_it_is_made_and_stopping_it_leaves_the_server(serve: Serve, tmp_path: Path) -> None:
    served = serve(write_flow(tmp_path / "slow", flow__dag__yaml=CHAT, reply__py=SLOW))

    async def at(page: Page) -> tuple[str, str, str]:
        await say(page, "count")
        early = await page.until(f"{ANSWERS}[0].startsWith('0 1') && {ANSWERS}[0]")
        later = await page.until(f"{ANSWERS}[0].length > {len(early)} && {ANSWERS}[0]")
        assert await page.evaluate(SEND) == "Stop"
        await picture(page, "chat-streaming")
        await click(page, "#send")
        await page.until(f"{SEND} === 'Send'")
        return early, later, (await page.evaluate(ANSWERS))[0]

    early, later, at_last = look(served, tmp_path, at)

    assert at_last.startswith(later)
    assert later.startswith(early)
    wait_until(lambda: served.service.metrics.disconnected == 1, 30)


def test_an_opinion_is_logged_with_the_id_of_the_answer(serve: Serve, echo_flow: Path, tmp_path: Path) -> None:
    served = serve(echo_flow)
    log = served.service.request_log = RequestLog(tmp_path / "log")

    async def at(page: Page) -> None:
        await page.evaluate(FILL.format("input-text", "hi"))
        await click(page, "#run")
        await click(page, ".about .bad")
        await page.until("document.querySelector('.about [role=status]').textContent === 'Thank you.'")
        assert await page.evaluate("document.querySelector('.about .bad').ariaPressed") == "true"

    look(served, tmp_path, at)
    log.close(30)

    requests, said = logged(tmp_path / "log", "requests"), logged(tmp_path / "log", "feedback")
    assert [entry["feedback"]["rating"] for entry in said] == ["bad"]
    assert [entry["request_id"] for entry in said] == [entry["request_id"] for entry in requests]


def test_a_form_runs_the_flow_and_shows_its_failure(serve: Serve, echo_flow: Path, tmp_path: Path) -> None:
    served = serve(echo_flow)

    async def at(page: Page) -> tuple[str, str, str, str]:
        default = await page.evaluate("document.getElementById('input-times').value")
        shown = []
        for text in ("hi", "raise"):
            await page.evaluate(FILL.format("input-text", text))
            await page.evaluate("document.getElementById('result').replaceChildren()")
            await click(page, "#run")
            await page.until("!document.getElementById('run').disabled && !!document.querySelector('#result pre')")
            shown.append(await page.evaluate("document.querySelector('#result pre').textContent"))
            await picture(page, f"form-{text}")
        return default, *shown, await page.evaluate("document.getElementById('command').textContent")

    default, good, bad, command = look(served, tmp_path, at)

    assert (default, good) == ("1", "HI")
    assert bad.startswith("Execution failure in 'shout'")
    assert f"curl http://127.0.0.1:{served.port}/score" in command
    assert """-d '{"text":"raise","times":1}'""" in command


TYPES = """
inputs:
  words: {type: list}
  wanted: {type: object, default: {a: 1}}
  loud: {type: bool, default: true}
  factor: {type: double, default: 0.5}
outputs:
  seen: {type: string, reference: "${see.output}"}
nodes:
- name: see
  type: python
  source: {type: code, path: see.py}
  inputs: {words: "${inputs.words}", wanted: "${inputs.wanted}", loud: "${inputs.loud}", factor: "${inputs.factor}"}
"""
SEE = """
from genaiops.flows import tool

@tool
def see(words: list, wanted: dict, loud: bool, factor: float) -> dict:
    if not words:
        return {"data:image/png;base64": "PNG"}
    return {"types": [type(value).__name__ for value in (words, wanted, loud, factor)]}
"""
# One pixel.
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJggg=="


def test_values_keep_their_types_mistakes_are_told_and_pictures_shown(serve: Serve, tmp_path: Path) -> None:
    folder = write_flow(tmp_path / "types", flow__dag__yaml=TYPES, see__py=SEE.replace("PNG", PNG))
    (folder / "samples.json").write_text('[{"words": ["from", "the", "sample"]}]', encoding="utf-8")
    served = serve(folder)

    async def at(page: Page) -> tuple[str, str, str, int]:
        ready = "!document.getElementById('run').disabled && !!document.querySelector('#result > *')"
        first = await page.evaluate("document.getElementById('input-words').value")
        await click(page, "#run")
        await page.until(ready)
        good = await page.evaluate("document.querySelector('#result pre').textContent")
        await picture(page, "form-types")
        await page.evaluate(FILL.format("input-words", "[1, "))
        await click(page, "#run")
        await page.until(ready)
        bad = await page.evaluate("document.querySelector('#result pre').textContent")
        await picture(page, "form-mistake")
        await page.evaluate(FILL.format("input-words", "[]"))
        await click(page, "#run")
        await page.until("!!document.querySelector('#result img')?.naturalWidth")
        return first, good, bad, await page.evaluate("document.querySelector('#result img').naturalWidth")

    first, good, bad, width = look(served, tmp_path, at)

    assert json.loads(first) == ["from", "the", "sample"]
    assert json.loads(good)["types"] == ["list", "dict", "bool", "float"]
    assert bad.startswith("words: expected JSON (list).")
    assert width == 1


def test_a_streaming_output_of_a_form_is_shown_as_it_comes(serve: Serve, stream_flow: Path, tmp_path: Path) -> None:
    served = serve(stream_flow)

    async def at(page: Page) -> list[str]:
        await page.evaluate(FILL.format("input-text", "hello"))
        await click(page, "#run")
        await page.until("!!document.querySelector('.about')")
        parts = "[...document.querySelectorAll('#result h2, #result pre')].map(e => e.textContent)"
        return list(await page.evaluate(parts))

    assert look(served, tmp_path, at) == ["output_echo", "Echo: hello "]


def test_where_a_key_is_needed_the_page_asks_for_it(serve: Serve, echo_flow: Path, tmp_path: Path) -> None:
    import hashlib

    served = serve(echo_flow, api_key_digests=(hashlib.sha256(b"sesame").hexdigest(),))

    async def at(page: Page) -> list[str]:
        shown = []
        await page.evaluate(FILL.format("input-text", "hi"))
        for key in ("wrong", "sesame"):
            await page.evaluate(FILL.format("key", key))
            await page.evaluate("document.getElementById('result').replaceChildren()")
            await click(page, "#run")
            shown.append(await page.until("document.querySelector('#result pre')?.textContent"))
        return shown

    refused, good = look(served, tmp_path, at)

    assert refused.startswith("An API key is required")
    assert good == "HI"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_talk_has_no_barrier_that_axe_knows(serve: Serve, tmp_path: Path, scheme: str) -> None:
    served = serve(write_flow(tmp_path / "talk", flow__dag__yaml=CHAT, reply__py=REPLY))

    async def at(page: Page) -> list[str]:
        await page.look(scheme=scheme)
        empty = await barriers(page)
        await say(page, "one")
        await page.until("document.querySelectorAll('.about').length === 1")
        await page.look(scheme=scheme, width=380)
        return empty + await barriers(page)

    assert look(served, tmp_path, at) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_form_has_no_barrier_that_axe_knows(serve: Serve, echo_flow: Path, tmp_path: Path, scheme: str) -> None:
    async def at(page: Page) -> list[str]:
        await page.look(scheme=scheme)
        empty = await barriers(page)
        await page.evaluate(FILL.format("input-text", "hi"))
        await click(page, "main form button")
        await page.until("document.body.textContent.includes('hi')")
        return empty + await barriers(page)

    assert look(serve(echo_flow), tmp_path, at) == []
