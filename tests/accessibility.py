"""What stands in the way of somebody who cannot see, hear or use a mouse, as far as axe-core finds it."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

from tests.browser import Page

RUN = """axe.run(document, {resultTypes: ["violations"], preload: false}).then(found =>
  JSON.stringify(found.violations.map(each => (
    {rule: each.id, where: each.nodes.slice(0, 3).map(node => node.html.slice(0, 200))}))))"""


@cache
def axe() -> str:
    """The library's own script, as a package of the extra `dev` carries it: nothing is fetched."""
    return files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")


async def barriers(page: Page) -> list[str]:
    """Each rule that the page as it is now breaks, with the elements that break it."""
    if not await page.evaluate("!!window.axe"):
        await page.evaluate(axe())
    return [f"{found['rule']}: {found['where']}" for found in json.loads(await page.evaluate(RUN))]
