"""Which imports of prompt flow a file has, and which of them have nothing behind them here."""

from __future__ import annotations

import ast
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from genaiops.records import record

# Why an import cannot be served, or None when it is: `compat.explain_import` knows best.
Explain = Callable[[str, str | None], str | None]

# For audits without the import layer: what its public modules begin with.
_PUBLIC = (
    "promptflow.client",
    "promptflow.connections",
    "promptflow.contracts",
    "promptflow.core",
    "promptflow.entities",
    "promptflow.exceptions",
    "promptflow.tools",
    "promptflow.tracing",
)


@record(frozen=True, slots=True)
class ImportUse:
    """One import of a name.

    Args:
        module: The module as written.
        name: The name taken from it; empty for `import module`.
        optional: It stands inside `try`, so the code knows how to do without.
    """

    module: str
    name: str
    file: Path
    line: int
    optional: bool = False

    def __str__(self) -> str:
        return f"{self.module}.{self.name}" if self.name else self.module


def read_imports(path: Path) -> list[ImportUse]:
    """Every absolute import of a file, those inside functions too; none when it is not valid Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(path.read_bytes(), filename=str(path))
    except (SyntaxError, ValueError, OSError):
        return []
    return list(_imports(tree, path, optional=False))


def _imports(node: ast.AST, path: Path, *, optional: bool) -> Iterator[ImportUse]:
    for child in ast.iter_child_nodes(node):
        guarded = optional or isinstance(node, ast.Try)
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield ImportUse(alias.name, "", path, child.lineno, guarded)
        elif isinstance(child, ast.ImportFrom) and child.module and not child.level:
            for alias in child.names:
                yield ImportUse(child.module, alias.name, path, child.lineno, guarded)
        else:
            yield from _imports(child, path, optional=guarded)


def is_promptflow(use: ImportUse) -> bool:
    """Whether an import is of prompt flow's own packages."""
    return use.module.split(".")[0] in ("promptflow", "promptflow_vectordb")


def explain_roughly(module: str, name: str | None) -> str | None:
    """A judgement without the import layer: prompt flow's public modules are served, its private ones are not."""
    full = f"{module}.{name}" if name else module
    if module == "promptflow" or any(full == known or full.startswith(f"{known}.") for known in _PUBLIC):
        return None
    return f"{full!r} is no public module of prompt flow that is served here."


def outside_packages(uses: list[ImportUse], own: frozenset[str]) -> list[str]:
    """Top-level packages that are neither prompt flow's, nor the flow's own, nor of the standard library."""
    names = {use.module.split(".")[0] for use in uses if not is_promptflow(use)}
    return sorted(names - own - sys.stdlib_module_names - {"__future__"})
