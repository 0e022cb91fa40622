"""A small page at `/` to try the flow in a browser: a chat for chat flows, a form for the others.

Everything it shows of the flow is put in as text, never as HTML; it loads nothing from elsewhere.
"""

from __future__ import annotations

import base64
import hashlib
import json
from functools import lru_cache
from importlib.resources import files

from genaiops.serving._openai import talk_shape
from genaiops.serving._openapi import example_of
from genaiops.serving._service import Service


@lru_cache(maxsize=1)
def _assets() -> tuple[str, str]:
    """The page's style and script."""
    folder = files("genaiops.serving") / "page"
    return (folder / "page.css").read_text(encoding="utf-8"), (folder / "page.js").read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii") + "'"


def _headers() -> dict[str, str]:
    style, script = _assets()
    policy = (
        f"default-src 'none'; connect-src 'self'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {"content-security-policy": policy, "x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}


PAGE_HEADERS = _headers()


def page(service: Service) -> str:
    """The page of one flow."""
    flow, inputs = service.flow, service.plan.signature
    shape, example = talk_shape(flow, inputs), example_of(service)
    facts = {
        "name": flow.display_name or flow.name,
        "description": flow.description or "",
        "kind": flow.kind,
        "chat": {"input": shape.input, "history": shape.history, "output": shape.output} if shape else None,
        "inputs": [
            {
                "name": name,
                "type": item.type,
                "required": not item.has_default,
                "default": item.default,
                "description": item.description or "",
            }
            for name, item in inputs.items()
        ],
        "example": example if isinstance(example, dict) else {},
        "needs_key": bool(service.options.api_key_digests),
    }
    style, script = _assets()
    # `<` is escaped so that no text of a flow can close the script element that carries the facts.
    data = json.dumps(facts, ensure_ascii=True, default=str).replace("<", "\\u003c")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>Try the flow</title>\n'
        f"<style>{style}</style>\n</head>\n<body>\n"
        '<header><h1 id="name"></h1><nav><a href="/swagger.json">API description</a></nav><p id="description"></p>'
        '</header>\n<main id="main"></main>\n'
        f'<script type="application/json" id="facts">{data}</script>\n<script>{script}</script>\n</body>\n</html>\n'
    )
