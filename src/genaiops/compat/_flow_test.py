"""One row through a flow, and the files that `pf flow test` leaves beside it."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genaiops.compat._images import images_as_files
from genaiops.compat._run_infos import flow_run_info, node_run_info
from genaiops.errors import InputError, suggest

if TYPE_CHECKING:
    from genaiops import flows
    from genaiops.connections import ConnectionStore
    from genaiops.runs import FlowRequest
    from genaiops.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TestedRow:
    """What `pf flow test` found out.

    Args:
        outcome: As a line of `outcomes.jsonl`, with `metrics`.
        output: What is printed: the outputs, the raw value of a flex flow, or the output of one node.
        folder: Where the files were written; None for code that has no folder.
    """

    outcome: Mapping[str, Any]
    output: Any
    folder: Path | None

    @property
    def error(self) -> Mapping[str, Any] | None:
        """What went wrong, in our form."""
        found = self.outcome.get("error")
        return found if isinstance(found, Mapping) else None


def run_flow_test(
    request: FlowRequest,
    inputs: Mapping[str, Any],
    settings: Settings,
    store: ConnectionStore,
    *,
    node: str | None = None,
    detail: Path | None = None,
    on_log: Callable[[str], None] | None = None,
) -> TestedRow:
    """Run one row, or one node, and write `flow.detail.json`, `flow.output.json` and so on.

    Args:
        request: The flow.
        inputs: Its inputs; for a node see `flow run --node`.
        settings: The surroundings.
        store: Connections.
        node: Run this node alone.
        detail: The folder for the files; by default `.promptflow` beside the flow.
        on_log: Told what the flow prints.

    Raises:
        InputError: The flow cannot be run as asked, or required inputs are missing.
        HostError: Its process died.
    """
    from genaiops.runs import run_row

    definition = _definition(request)
    given = inputs if node is not None else complete_inputs(definition, inputs)
    started = datetime.now(UTC)
    lines: list[str] = []

    def log(line: str) -> None:
        lines.append(line)
        if on_log is not None:
            on_log(line)

    outcome = run_row(request, given, settings, store=store, node=node, on_log=log)
    folder = detail or _artifact_folder(definition)
    if folder is not None:
        outcome = _with_image_files(outcome, folder / "output")
    output = _node_output(outcome, node) if node is not None else _output(outcome)
    if folder is not None:
        _write_files(folder, definition, outcome, output, node=node, started=started, lines=lines)
    return TestedRow(outcome=outcome, output=output, folder=folder)


def _definition(request: FlowRequest) -> flows.Flow | None:
    """The flow as its files describe it; None for code of this process."""
    from genaiops import flows

    if callable(request.flow):
        return None
    return flows.load_flow(
        request.flow, variant=request.variant, overrides=request.overrides or None, connections=request.connections
    )


def complete_inputs(definition: flows.Flow | None, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs, with an empty history for a chat flow; unknown names are a warning.

    Raises:
        InputError: Required inputs are missing; all of them are named.
    """
    given = dict(inputs)
    if definition is None or definition.loose_signature:
        return given
    chat = definition.chat
    declared = definition.inputs
    history = chat.history if chat is not None else None
    if history is not None and history in declared and declared[history].default is None:
        given.setdefault(history, [])
    unknown = {name: value for name, value in given.items() if name not in declared}
    if unknown and declared:
        name = next(iter(unknown))
        logger.warning("Unknown input(s) of flow: %s. %s", ", ".join(unknown), suggest(name, declared))
    if not given and definition.sample:
        return given
    missing = [name for name, item in declared.items() if name not in given and not item.has_default]
    if missing:
        raise InputError(
            f"Required input(s) {missing} are missing for {definition.name!r}.",
            file=definition.path,
            hint=f"Give --inputs {missing[0]}=…",
            kind="InputNotFound",
        )
    return given


def _output(outcome: Mapping[str, Any]) -> Any:
    if "value" in outcome:
        return outcome["value"]
    return outcome.get("outputs") or {}


def _node_output(outcome: Mapping[str, Any], node: str) -> Any:
    found = (outcome.get("nodes") or {}).get(node)
    return found.get("output") if found else outcome.get("outputs")


def _artifact_folder(definition: flows.Flow | None) -> Path | None:
    if definition is None:
        return None
    folder = definition.home / ".promptflow"
    return folder / definition.path.stem if definition.kind == "prompty" else folder


def _with_image_files(outcome: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The outcome with images as files in a folder."""
    changed = {key: images_as_files(outcome[key], folder) for key in ("outputs", "value") if outcome.get(key)}
    nodes = {
        name: {**node, "output": images_as_files(node.get("output"), folder)}
        for name, node in (outcome.get("nodes") or {}).items()
    }
    return {**outcome, **changed, "nodes": nodes}


def _write_files(
    folder: Path,
    definition: flows.Flow | None,
    outcome: Mapping[str, Any],
    output: Any,
    *,
    node: str | None,
    started: datetime,
    lines: list[str],
) -> None:
    run = str(uuid.uuid4())
    message_format = definition.message_format if definition is not None else "basic"
    aggregating = {item.name for item in definition.aggregation_nodes} if definition is not None else set()
    node_runs = [
        node_run_info(
            name,
            item,
            run=run,
            start=started,
            row=None if name in aggregating else 0,
            with_result=True,
            message_format=message_format,
        )
        for name, item in (outcome.get("nodes") or {}).items()
        if node is None or name == node
    ]
    folder.mkdir(parents=True, exist_ok=True)
    if node is not None:
        _write(folder / f"flow-{node}.node.detail.json", {"node_runs": node_runs})
        _write(folder / f"flow-{node}.node.output.json", output)
        _log(folder / f"{node}.node.log", lines)
        return
    metrics = outcome.get("metrics") or {}
    flow_run = flow_run_info(
        outcome, run=run, start=started, metrics=metrics, with_result=True, message_format=message_format
    )
    _write(folder / "flow.detail.json", {"flow_runs": [flow_run], "node_runs": node_runs})
    if outcome["status"] == "completed":
        _write(folder / "flow.output.json", output)
        _write(folder / "flow.metrics.json", metrics)
    _log(folder / "flow.log", lines)


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2, default=str), encoding="utf-8")


def _log(path: Path, lines: list[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
