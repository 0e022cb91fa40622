"""The page at `/` in a real browser: a chat for chat flows, a form for the others."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from .browser import find_browser, open_page
from .conftest import Serve, write_flow
from .test_openai_route import CHAT, REPLY

pytestmark = [
    pytest.mark.skipif(find_browser() is None, reason="no Chromium or Chrome is installed (apt-get install chromium)"),
    pytest.mark.filterwarnings("default"),
]

FILL = """(() => {{ const field = document.getElementById({0!r}); field.value = {1!r};
field.dispatchEvent(new Event("input", {{bubbles: true}})); return true; }})()"""


async def picture(page: Any, name: str) -> None:
    """Pictures for people, where GENAIOPS_TEST_PICTURES names a folder."""
    folder = os.environ.get("GENAIOPS_TEST_PICTURES")
    if folder:
        await page.picture(Path(folder) / f"{name}.png")


def test_a_talk_keeps_its_turns_and_shows_model_output_as_text(serve: Serve, tmp_path: Path) -> None:
    served = serve(write_flow(tmp_path / "talk", flow__dag__yaml=CHAT, reply__py=REPLY))

    async def look() -> tuple[list[str], int, list[str]]:
        async with open_page(f"http://127.0.0.1:{served.port}/", tmp_path / "profile") as page:
            for number, text in enumerate(["one", "<img src=x onerror=alert(1)>"], 1):
                await page.evaluate(FILL.format("message", text))
                await page.evaluate("document.getElementById('send').click()")
                await page.until(
                    f"document.querySelectorAll('.said.assistant').length === {number}"
                    " && !document.getElementById('send').disabled"
                )
            said = await page.evaluate("[...document.querySelectorAll('.said.assistant')].map(e => e.textContent)")
            images = await page.evaluate("document.querySelectorAll('#talk img').length")
            await picture(page, "chat")
            return said, images, page.problems

    said, images, problems = asyncio.run(look())

    assert said == [
        "0 turns before. Now: one",
        "1 turns before. You asked one and I said 0 turns before. Now: one. Now: <img src=x onerror=alert(1)>",
    ]
    assert (images, problems) == (0, [])


def test_a_form_runs_the_flow_and_shows_its_failure(serve: Serve, echo_flow: Path, tmp_path: Path) -> None:
    served = serve(echo_flow)

    async def look() -> tuple[str, str, str]:
        async with open_page(f"http://127.0.0.1:{served.port}/", tmp_path / "profile") as page:
            shown = []
            for text in ("hi", "raise"):
                await page.evaluate(FILL.format("input-text", text))
                await page.evaluate("document.getElementById('result').replaceChildren()")
                await page.evaluate("document.getElementById('run').click()")
                shown.append(await page.until("document.getElementById('output')?.textContent"))
                await picture(page, f"form-{text}")
            return shown[0], shown[1], await page.evaluate("document.getElementById('input-times').value")

    good, bad, default = asyncio.run(look())

    assert good == '{\n  "shouted": "HI"\n}'
    assert bad.startswith("Execution failure in 'shout'")
    assert default == "1"
