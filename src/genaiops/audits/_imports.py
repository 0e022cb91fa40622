"""Which imports of prompt flow a file has, and which of them have nothing behind them here."""

from __future__ import annotations

import ast
import sys
import warnings
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

# A module and the names in it that are answered; None: all that flows take from it.
ImportTable = Mapping[str, Collection[str] | None]

SERVED: ImportTable = dict.fromkeys(
    (
        "promptflow",
        "promptflow.core",
        "promptflow.core._connection",
        "promptflow.core._flow",
        "promptflow.core._model_configuration",
        "promptflow.core._prompty_utils",
        "promptflow._core.tool",
        "promptflow._core.log_manager",
        "promptflow._internal",
        "promptflow._sdk._errors",
        "promptflow._sdk.entities",
        "promptflow._utils.logger_utils",
        "promptflow._utils.yaml_utils",
        "promptflow.client",
        "promptflow.connections",
        "promptflow.contracts.multimedia",
        "promptflow.contracts.types",
        "promptflow.entities",
        "promptflow.exceptions",
        "promptflow.executor._assistant_tool_invoker",
        "promptflow.integrations.langchain",
        "promptflow.tools",
        "promptflow.tools.aoai",
        "promptflow.tools.common",
        "promptflow.tools.embedding",
        "promptflow.tools.exception",
        "promptflow.tools.openai",
        "promptflow.tools.serpapi",
        "promptflow.tracing",
        "promptflow.tracing._operation_context",
        "promptflow.tracing.contracts.trace",
    )
)
# What to do about the others.
REPLACEMENTS: Mapping[str, str] = {
    "promptflow.azure": "runs in Azure are started by 'genaiops run … --on azureml', not from code",
    "promptflow.evals": "use azure-ai-evaluation, its successor, or the built-in evaluators",
    "promptflow.rag": "the package was withdrawn; build the index with the search service's own library",
    "promptflow_vectordb": "the package was withdrawn; register an adapter for its look-ups",
    "promptflow.parallel": "use 'genaiops run … --on azureml'",
    "promptflow.batch": "use 'genaiops flow run --data' or genaiops' PFClient().run()",
    "promptflow.executor": "use promptflow.client.load_flow, which is served here",
    "promptflow._sdk": "a private module; use promptflow.client.PFClient, which is served here",
    "promptflow._core": "a private module; use promptflow.core, which is served here",
    "promptflow._utils": "a private module; copy the few lines you need",
    "promptflow.storage": "read the run record's files instead",
    "promptflow.runtime": "a module of Azure's runtime; nothing stands in for it",
}


@dataclass(frozen=True, slots=True)
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
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield ImportUse(alias.name, "", path, child.lineno, optional)
        elif isinstance(child, ast.ImportFrom) and child.module and not child.level:
            for alias in child.names:
                yield ImportUse(child.module, alias.name, path, child.lineno, optional)
        else:
            yield from _imports(child, path, optional=optional or isinstance(node, ast.Try))


def is_promptflow(use: ImportUse) -> bool:
    """Whether an import is of prompt flow's own packages."""
    return use.module.split(".")[0] in ("promptflow", "promptflow_vectordb")


def is_served(use: ImportUse, served: ImportTable = SERVED) -> bool:
    """Whether our import layer answers it: the module and the name, or the module that the name is."""
    if f"{use.module}.{use.name}" in served:
        return True
    if use.module not in served:
        return False
    names = served[use.module]
    return names is None or not use.name or use.name == "*" or use.name in names


def replacement(use: ImportUse) -> str:
    """What to do about an import that nothing answers."""
    name = str(use)
    known = [prefix for prefix in REPLACEMENTS if name == prefix or name.startswith(f"{prefix}.")]
    return REPLACEMENTS[max(known, key=len)] if known else "nothing stands in for it"


def outside_packages(uses: list[ImportUse], own: frozenset[str]) -> list[str]:
    """Top-level packages that are neither prompt flow's, nor the flow's own, nor of the standard library."""
    names = {use.module.split(".")[0] for use in uses if not is_promptflow(use)}
    return sorted(names - own - sys.stdlib_module_names - {"__future__"})
