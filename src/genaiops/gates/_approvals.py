"""A person's decision, on record beside the experiment."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from genaiops.errors import ApprovalMissing, DataError, InputError
from genaiops.gates._alert_words import alert_words
from genaiops.gates._evidence import load_totals
from genaiops.gates._verdict import Verdict
from genaiops.records import record

_FILE = "approvals.json"


@record(frozen=True, kw_only=True)
class Approval:
    """Who decided what, when and why.

    Attributes:
        decision: approved or rejected.
        by: The person.
        at: When, ISO 8601 in UTC.
        reason: Why; a failed gate cannot be overruled without one.
        verdict: The gate's result at that time.
        verdict_digest: Of the verdict that the person saw; a later verdict needs a new decision.
    """

    decision: Literal["approved", "rejected"]
    by: str
    at: str
    reason: str | None
    verdict: str
    verdict_digest: str


def approve(folder: Path, *, by: str, reason: str | None = None, at: datetime | None = None) -> Approval:
    """Put on record that a person wants this released.

    Args:
        folder: The experiment's folder.
        by: Who decides; not empty.
        reason: Why; needed when the gate did not pass.
        at: When; now by default.

    Raises:
        InputError: Nobody is named, or the gate did not pass and no reason is given.
        DataError: There is no experiment in the folder.
    """
    verdict = _verdict(folder)
    if verdict["result"] != "passed" and not (reason or "").strip():
        raise InputError(
            f"The gate's result is {verdict['result']!r}; approving it needs a reason.",
            file=folder,
            hint="Give one with --reason.",
        )
    return _decide(folder, "approved", by, reason, at, verdict)


def reject(folder: Path, *, by: str, reason: str | None = None, at: datetime | None = None) -> Approval:
    """Put on record that a person does not want this released.

    Args:
        folder: The experiment's folder.
        by: Who decides; not empty.
        reason: Why.
        at: When; now by default.

    Raises:
        InputError: Nobody is named.
        DataError: There is no experiment in the folder.
    """
    return _decide(folder, "rejected", by, reason, at, _verdict(folder))


def approvals(folder: Path) -> list[Approval]:
    """All decisions on record, oldest first.

    Raises:
        DataError: The record is broken.
    """
    file = folder / _FILE
    if not file.is_file():
        return []
    try:
        lines = json.loads(file.read_text(encoding="utf-8"))["decisions"]
        return [Approval(**{key: line[key] for key in Approval.__dataclass_fields__}) for line in lines]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise DataError("This is not a record of approvals.", file=file) from error


def require_approval(folder: Path) -> Approval:
    """The decision in force, when it is an approval of the verdict as it stands.

    Raises:
        ApprovalMissing: Nobody approved, somebody refused last, or the verdict has changed since.
    """
    decisions = approvals(folder)
    if not decisions:
        raise ApprovalMissing(
            "Nobody has approved this experiment.", file=folder, hint="Approve it: genaiops approve RUN"
        )
    last = decisions[-1]
    if last.decision == "rejected":
        why = f": {last.reason}" if last.reason else ""
        raise ApprovalMissing(f"{last.by} refused this experiment on {last.at[:10]}{why}.", file=folder)
    if last.verdict_digest != _digest(_verdict(folder)):
        message = f"The verdict has changed since {last.by} approved it on {last.at[:10]}."
        raise ApprovalMissing(message, file=folder, hint="Look again and approve it: genaiops approve RUN")
    return last


def record_verdict(folder: Path, verdict: Verdict) -> Path:
    """Write `verdict.json` and the verdict in `experiment.json`, each as a whole or not at all.

    Returns:
        The path of `verdict.json`.

    Raises:
        DataError: There is no experiment in the folder.
    """
    result = dict(load_totals(folder).result)
    result["verdict"] = {"result": verdict.result, "reasons": list(verdict.reasons)}
    _replace(folder / "verdict.json", verdict.to_json())
    _replace(folder / "experiment.json", result)
    return folder / "verdict.json"


def record_alert(folder: Path, verdict: Verdict, delivery: Mapping[str, Any] | None = None) -> Path:
    """Write `alert.json` and the alert in `experiment.json`, each as a whole or not at all.

    Args:
        folder: The experiment's folder.
        verdict: The alert's verdict.
        delivery: What became of the message; None when none was sent.

    Returns:
        The path of `alert.json`.
    """
    result = dict(load_totals(folder).result)
    sent = dict(delivery) if delivery is not None else None
    words = alert_words(verdict)
    result["alert"] = {"result": verdict.result, "words": words, "reasons": list(verdict.reasons), "delivery": sent}
    _replace(folder / "alert.json", {**verdict.to_json(), "words": words, "delivery": sent})
    _replace(folder / "experiment.json", result)
    return folder / "alert.json"


def _decide(
    folder: Path,
    decision: Literal["approved", "rejected"],
    by: str,
    reason: str | None,
    at: datetime | None,
    verdict: Mapping[str, Any],
) -> Approval:
    if not by.strip():
        raise InputError("A decision needs the name of a person.", hint="Give it with --by.")
    approval = Approval(
        decision=decision,
        by=by.strip(),
        at=(at or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds"),
        reason=reason.strip() if reason and reason.strip() else None,
        verdict=str(verdict["result"]),
        verdict_digest=_digest(verdict),
    )
    decisions = [asdict(each) for each in (*approvals(folder), approval)]
    _replace(folder / _FILE, {"schema_version": 1, "decisions": decisions})
    return approval


def _verdict(folder: Path) -> Mapping[str, Any]:
    found = load_totals(folder).result.get("verdict") or {}
    return {"result": found.get("result", "not judged"), "reasons": list(found.get("reasons", ()))}


def _digest(verdict: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(verdict, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _replace(file: Path, content: Mapping[str, Any]) -> None:
    """Readers see the old file or the whole new one, also after a crash."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    draft.replace(file)
