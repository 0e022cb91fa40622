"""Finds the flows and use cases of a folder or a repository."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

FLOW_FILES = frozenset({"flow.dag.yaml", "flow.dag.yml", "flow.flex.yaml", "flow.flex.yml"})
USE_CASE_FILES = ("experiment.yaml", "experiment.yml", "llmops_config.json")
# Not the user's own: histories, environments, caches, records of earlier runs.
_SKIPPED = frozenset(
    {"node_modules", "__pycache__", "site-packages", "venv", ".venv", ".git", ".tox", ".promptflow", ".runs",
     ".genaiops", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".ipynb_checkpoints"}
)  # fmt: skip
_NODES = re.compile(r"^nodes:\s*(#.*)?$", re.MULTILINE)
_NODE_TYPE = re.compile(r"^[ \t]+type:[ \t]*[\"']?(python|llm|prompt|custom_llm)\b", re.MULTILINE)
_NODE_OF_ANOTHER_FORMAT = re.compile(r"^[ \t]+type:[ \t]*[\"']?(flow|script|command|chat_group)\b", re.MULTILINE)
_OUTPUT = re.compile(r"^(inputs|outputs):", re.MULTILINE)
_ENTRY = re.compile(r"^entry:[ \t]*[\"']?[A-Za-z_][\w.]*:[A-Za-z_]\w*", re.MULTILINE)


def walk_files(root: Path) -> Iterator[Path]:
    """Every file that is a user's own, sorted; folders of tools and caches are left out."""
    if root.is_file():
        yield root
        return
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED and not _is_environment(folder, name))
        for name in sorted(names):
            yield Path(folder) / name


def _is_environment(folder: str, name: str) -> bool:
    return Path(folder, name, "pyvenv.cfg").exists()


def is_flow_file(path: Path) -> bool:
    """Whether a file is a flow: by its name, or a YAML file of any name that has a flow's nodes or an entry."""
    if path.name in FLOW_FILES or path.suffix.lower() == ".prompty":
        return True
    if path.suffix.lower() not in (".yaml", ".yml"):
        return False
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return False
    if _ENTRY.search(text):
        return True
    has_nodes = _NODES.search(text) and _NODE_TYPE.search(text) and _OUTPUT.search(text)
    return bool(has_nodes) and not _NODE_OF_ANOTHER_FORMAT.search(text)


def find_flows(root: Path) -> list[Path]:
    """The flow files below a folder, sorted; a single file counts as it is."""
    return [path for path in walk_files(root) if is_flow_file(path)]


def find_use_cases(root: Path) -> list[Path]:
    """The files that make a folder a use case, one a folder."""
    found: dict[Path, Path] = {}
    for path in walk_files(root):
        if path.name in USE_CASE_FILES:
            known = found.get(path.parent)
            if known is None or USE_CASE_FILES.index(path.name) < USE_CASE_FILES.index(known.name):
                found[path.parent] = path
    return list(found.values())
