"""An outcome as the line of `outcomes.jsonl`, and the few numbers about it that the parent counts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genaiops.flows import Outcome

_MODEL_SPANS = frozenset({"llm", "embedding"})
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=repr).encode
_encode_ascii = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), default=repr).encode


def encode_outcome(outcome: Outcome, *, repeat: int, stuck: bool) -> tuple[bytes, dict[str, Any]]:
    """The line, with its end, and the header that travels beside it."""
    form = outcome.to_json()
    nodes = outcome.nodes.values()
    calls = sum(1 for span in outcome.spans if span.kind in _MODEL_SPANS)
    kept = sum(1 for node in nodes if node.kept)
    costs = [node.cost_usd for node in nodes if node.cost_usd is not None]
    if repeat:
        form["repeat"] = repeat
    if calls or kept:
        form["model_calls"], form["kept"] = calls, kept
    if costs:
        form["cost_usd"] = sum(costs)
    header: dict[str, Any] = {
        "row": outcome.row,
        "ok": outcome.status == "completed",
        "calls": calls,
        "kept": kept,
        "tokens": [outcome.tokens.input, outcome.tokens.output, outcome.tokens.cached],
        "cost": form.get("cost_usd"),
        "simulated": any(node.simulated for node in nodes),
        "recorded": any(node.recorded is not None for node in nodes),
    }
    if outcome.error is not None:
        error = outcome.error
        header["error"] = {key: error.get(key) for key in ("kind", "type", "node", "file", "line", "hint")}
        header["error"]["message"] = str(error.get("message"))[:2000]
        header["permanent"] = bool(error.get("permanent"))
        header["stuck"] = stuck
    return encode_json(form) + b"\n", header


def encode_json(value: Any) -> bytes:
    """JSON as UTF-8; half a surrogate pair, which UTF-8 lacks, is written as its escape."""
    try:
        return _encode(value).encode("utf-8")
    except UnicodeEncodeError:
        return _encode_ascii(value).encode("ascii")
