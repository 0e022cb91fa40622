"""Small use cases on disk for the tests of this folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

from genaiops.settings import Settings, load_settings

FLOW = """
inputs:
  url: {type: string}
outputs:
  category: {type: string, reference: "${classify.output}"}
nodes:
- name: classify
  type: python
  source: {type: code, path: classify.py}
  inputs: {url: "${inputs.url}"}
"""
CODE = """
from promptflow.core import tool

@tool
def classify(url: str):
    return url.upper()
"""
BASE = """
name: web
flow: flows/main
datasets:
- name: train
  source: data/train.jsonl
  mappings:
    url: "${data.url}"
"""


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(text), encoding="utf-8")
    return path


def write_rows(path: Path, rows: list[dict[str, object]]) -> Path:
    return write(path, "".join(json.dumps(row) + "\n" for row in rows))


def make_use_case(folder: Path, experiment: str = BASE, **overlays: str) -> Path:
    """A use case with one small flow, a dataset of three rows, and `experiment.<env>.yaml` for each keyword."""
    write(folder / "experiment.yaml", experiment)
    for env, text in overlays.items():
        write(folder / f"experiment.{env}.yaml", text)
    write(folder / "flows/main/flow.dag.yaml", FLOW)
    write(folder / "flows/main/classify.py", CODE)
    write_rows(folder / "data/train.jsonl", [{"url": u, "answer": u.upper()} for u in ("a", "b", "c")])
    return folder


def settings_of(folder: Path, environ: Mapping[str, str] | None = None) -> Settings:
    return load_settings(cwd=folder, environ=dict(environ or {}))
