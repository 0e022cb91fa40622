"""The JSON Schema of `experiment.yaml`, for editors and for whoever writes such files."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any


def experiment_schema() -> dict[str, Any]:
    """The published schema, draft 2020-12."""
    text = files("genaiops.experiments").joinpath("experiment.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema
