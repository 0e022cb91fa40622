"""Which keys the blocks of `experiment.yaml` have; the published JSON Schema is tested against these tables."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any

from genaiops.errors import suggest
from genaiops.experiments._documents import Document
from genaiops.flows import Finding

EXPERIMENT_KEYS = (
    "$schema",
    "name",
    "description",
    "flow",
    "entry",
    "outputs",
    "datasets",
    "evaluators",
    "connections",
    "runtime",
    "search_space",
    "plan",
    "baseline",
    "repeats",
    "metrics",
    "gate",
    "alert",
    "report",
    "data_checks",
    "confirm",
    "model_calls",
)
DATASET_KEYS = ("name", "source", "description", "mappings", "reference", "key", "segments", "cluster", "limit")
EVALUATOR_KEYS = ("name", "flow", "entry", "description", "datasets", "mappings", "init")
METRIC_KEYS = ("higher_is_better", "margin", "kind")
MODEL_CALLS_KEYS = ("mode", "recording")
MODEL_CALLS_MODES = ("live", "record", "replay")
OUTPUTS = ("run", "logged")
CONFIRM_KEYS = ("dataset", "source", "description", "mappings", "limit", "key", "segments", "cluster")
# So alike are a key and the one that was meant (`difflib`, 1 is the same): `evaluatorz`, `mapping`, `data_sets`.
_SLIP = 0.85
# An overlay replaces these blocks; `name` and `flow` always come from the base file.
OVERLAY_FIXED = ("name", "flow", "entry")


def unknown_keys(
    block: Mapping[str, Any], known: Collection[str], document: Document, *place: str | int, what: str
) -> list[Finding]:
    """A finding for each key that nobody reads, with the nearest one that somebody does.

    A slip of the pen is an error: what stands under it would be left out, and a job without its evaluators is green.
    Other keys may mean something to somebody else.
    """
    findings = []
    for key in block:
        if key in known or str(key).startswith("x-"):
            continue
        where = document.place(*place, key)
        findings.append(
            Finding(
                severity="error" if get_close_matches(str(key), known, n=1, cutoff=_SLIP) else "warning",
                code="unknown-key",
                file=str(where.file),
                line=where.line,
                message=f"{what} has the key {key!r}, which nothing reads.",
                hint=suggest(str(key), known),
            )
        )
    return findings
