"""What a flow is made of: its nodes, tools, connections, variables and Python files."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from genaiops.flows._check_entry import module_file
from genaiops.flows._check_graph import Body, mapping
from genaiops.flows._check_nodes import ConnectionUse
from genaiops.flows._check_report import FlowFiles
from genaiops.flows._check_source import parse_source, read_source
from genaiops.flows._model import Finding, FlowKind
from genaiops.flows._yaml import YamlDocument
from genaiops.records import record

_VARIABLE = re.compile(r"\$\{(?:env|ENV):([A-Za-z_]\w*)")


@record(frozen=True, slots=True)
class FlowSurvey:
    """One flow file and what it leads to.

    Args:
        document: The flow file, or the front matter of a prompty; None when it cannot be read.
        uses: Places that name a connection.
        bodies: The bodies of a graph's nodes, one a variant.
        findings: What its files say about themselves, mistakes first.
    """

    path: Path
    kind: FlowKind
    document: YamlDocument | None
    files: FlowFiles
    uses: tuple[ConnectionUse, ...] = ()
    bodies: tuple[Body, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def mistakes(self) -> list[Finding]:
        """The findings that keep it from running as it is."""
        return [finding for finding in self.findings if finding.severity == "error"]

    def nodes(self) -> list[str]:
        """Names of the nodes, in the order written."""
        return list(dict.fromkeys(body.name for body in self.bodies))

    def tools(self) -> list[str]:
        """Tool files, templates and package tools that the nodes name."""
        sources = [mapping(body.data.get("source")) for body in self.bodies]
        return list(dict.fromkeys(str(s[key]) for s in sources for key in ("path", "tool") if s.get(key)))

    def package_tools(self) -> list[str]:
        """Ids of the tools that come from a package."""
        sources = [mapping(body.data.get("source")) for body in self.bodies]
        return list(dict.fromkeys(str(s["tool"]) for s in sources if s.get("tool")))

    def connections(self) -> list[str]:
        """Names of the connections it needs."""
        return sorted({use.name for use in self.uses})

    def python_files(self) -> list[Path]:
        """Its Python files: tools, entry, and the flow's own modules that these import."""
        waiting = [self.files.find(tool) for tool in self.tools() if tool.endswith(".py")]
        entry = mapping(self.document.data if self.document else None).get("entry")
        if isinstance(entry, str):
            waiting.append(module_file(entry.partition(":")[0], self.files))
        found: dict[Path, None] = {}
        while waiting:
            path = waiting.pop()
            if path is None or path in found or not path.is_file():
                continue
            found[path] = None
            waiting += [module_file(name, self.files) for name in _imported(path)]
        return sorted(found)

    def init_needed(self) -> list[str]:
        """Constructor arguments of a class flow that neither the code, nor the file, nor its sample gives."""
        front = mapping(self.document.data if self.document else None)
        module, _, name = str(front.get("entry")).partition(":")
        path = module_file(module, self.files) if self.kind == "class" else None
        try:
            facts = read_source(path) if path else None
        except (SyntaxError, ValueError, OSError):
            facts = None
        init = facts.classes[name].init if facts and name in facts.classes else None
        sample = mapping(front.get("sample")).get("init")
        if init is None or isinstance(sample, str):
            return []
        written = mapping(front.get("init"))
        given = {*mapping(sample), *(key for key, value in written.items() if "default" in mapping(value))}
        return [key for key in init.required if key not in given]

    def variables(self) -> list[str]:
        """Environment variables that its files and its code read."""
        text = "" if self.document is None else self.path.read_text(encoding="utf-8-sig")
        found = set(_VARIABLE.findall(text))
        for path in self.python_files():
            found |= set(_read_variables(path))
        return sorted(found)


def _tree(path: Path) -> ast.Module | None:
    try:
        return parse_source(path)
    except (SyntaxError, ValueError, OSError):
        return None


def _imported(path: Path) -> Iterator[str]:
    tree = _tree(path)
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # Relative imports of a flex flow's package start at the flow's folder often enough.
            module = node.module or ""
            yield module
            yield from (f"{module}.{alias.name}".lstrip(".") for alias in node.names)


def _read_variables(path: Path) -> Iterator[str]:
    """`os.environ["X"]`, `os.environ.get("X")`, `os.getenv("X")`."""
    tree = _tree(path)
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.Subscript) and _is_environ(node.value):
            key: ast.expr | None = node.slice
        elif isinstance(node, ast.Call) and _reads_environ(node.func):
            key = node.args[0] if node.args else None
        else:
            continue
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            yield key.value


def _is_environ(node: ast.expr) -> bool:
    return (isinstance(node, ast.Attribute) and node.attr == "environ") or (
        isinstance(node, ast.Name) and node.id == "environ"
    )


def _reads_environ(node: ast.expr) -> bool:
    if isinstance(node, ast.Attribute) and node.attr in ("get", "pop"):
        return _is_environ(node.value)
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name == "getenv"
