"""One row through a flow, told to a person: each node with input, output, time and tokens; the outputs at the end."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from genaiops.cli._output import money, one_line, safe, seconds
from genaiops.cli._session import color_allowed
from genaiops.plain_text import plural

_MARKS = {"completed": ("✓", "green"), "bypassed": ("–", "yellow"), "failed": ("✗", "red"), "canceled": ("·", "yellow")}
_WIDTH = 100


def one_row_json(flow: str, outcome: Mapping[str, Any], metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The published JSON form of `flow run` on one row."""
    error = outcome.get("error")
    return {
        "schema_version": 1,
        "flow": flow,
        "status": outcome.get("status"),
        "outputs": outcome.get("outputs") or {},
        "nodes": {name: _node_json(node) for name, node in (outcome.get("nodes") or {}).items()},
        "metrics": dict(metrics),
        "error": error_json(error) if error else None,
        "duration_s": outcome.get("duration_s"),
        "tokens": outcome.get("tokens"),
    }


def failed_json(flow: str, error: Mapping[str, Any]) -> dict[str, Any]:
    """The same form when nothing was started."""
    return one_row_json(flow, {"status": "failed", "error": error}, {})


def error_json(error: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an error that are promised, and the hint."""
    return {key: error.get(key) for key in ("kind", "type", "message", "node", "file", "line", "hint")}


def _node_json(node: Mapping[str, Any]) -> dict[str, Any]:
    tokens = node.get("tokens") or {}
    form: dict[str, Any] = {
        "status": node.get("status"),
        "inputs": node.get("inputs"),
        "output": node.get("output"),
        "duration_s": node.get("duration_s") or 0.0,
        "kept": bool(node.get("kept")),
        "tokens": {"input": tokens.get("input", 0), "output": tokens.get("output", 0)},
    }
    more = ("model", "cost_usd", "retries", "simulated", "recorded", "error")
    return form | {key: node[key] for key in more if node.get(key) is not None}


def echo_outcome(outcome: Mapping[str, Any], metrics: Mapping[str, Any]) -> None:
    """Print one row: nodes, outputs, metrics, and what went wrong."""
    for name, node in (outcome.get("nodes") or {}).items():
        for line in _node_lines(name, node):
            click.echo(line)
    if outcome.get("outputs"):
        click.echo(_bold("outputs"))
        for name, value in outcome["outputs"].items():
            click.echo(_value(name, value))
    if metrics:
        click.echo(_bold("metrics"))
        for name, value in metrics.items():
            click.echo(f"  {name}: {one_line(value)}")
    error = outcome.get("error")
    if error:
        for line in error_lines(error):
            click.echo(line, err=True)
    click.echo(_sum_line(outcome))


def error_lines(error: Mapping[str, Any]) -> Iterator[str]:
    """An error with its place and hint."""
    where = f"{error['file']}:{error['line']}: " if error.get("file") and error.get("line") else ""
    node = f"node {error['node']}: " if error.get("node") and str(error["node"]) not in str(error["message"]) else ""
    head = click.style("error:", fg="red", bold=True) if color_allowed() else "error:"
    yield f"{head} {safe(where + node + str(error['message']))}"
    if error.get("hint"):
        yield f"  hint: {safe(str(error['hint']))}"


def _node_lines(name: str, node: Mapping[str, Any]) -> Iterator[str]:
    mark, color = _MARKS.get(str(node.get("status")), ("?", "yellow"))
    facts = [seconds(node.get("duration_s") or 0.0)]
    tokens = node.get("tokens") or {}
    if tokens.get("input") or tokens.get("output"):
        facts.append(f"{tokens.get('input', 0)} + {tokens.get('output', 0)} tokens")
    if node.get("cost_usd") is not None:
        facts.append(money(node["cost_usd"]))
    if node.get("model"):
        recorded = f" (recorded {node['recorded']})" if node.get("recorded") is not None else ""
        facts.append(f"{node['model']}{' (SIMULATED)' if node.get('simulated') else recorded}")
    if node.get("retries"):
        facts.append(plural(node["retries"], "retry", "retries"))
    if node.get("kept"):
        facts.append("kept from before")
    if node.get("status") == "bypassed":
        facts = ["bypassed"]
    shown = click.style(mark, fg=color) if color_allowed() else mark
    yield f"{shown} {_bold(name)}  {', '.join(facts)}"
    for key, value in (node.get("inputs") or {}).items():
        yield f"    {key} ← {one_line(value, _WIDTH - len(key))}"
    if node.get("status") == "completed":
        yield f"    → {one_line(node.get('output'), _WIDTH)}"


def _value(name: str, value: object) -> str:
    """An output in full: what a person ran the flow for."""
    text = safe(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2, default=str))
    return f"  {name}: {text}" if "\n" not in text else f"  {name}:\n{_indented(text)}"


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


def _sum_line(outcome: Mapping[str, Any]) -> str:
    tokens = outcome.get("tokens") or {}
    facts: Sequence[str] = [str(outcome.get("status")), seconds(outcome.get("duration_s") or 0.0)]
    used = tokens.get("input", 0) + tokens.get("output", 0)
    return ", ".join([*facts, *([plural(used, "token")] if used else [])])


def _bold(text: str) -> str:
    return click.style(text, bold=True) if color_allowed() else text
