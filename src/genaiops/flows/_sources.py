"""Where a node's code or template is, and what can be known of it without running it."""

from __future__ import annotations

import ast
import importlib.util
import os
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

from genaiops.errors import FlowDefinitionError, suggest
from genaiops.flows._model import Node

NODE_TYPES = ("python", "llm", "prompt", "custom_llm")


def tool_error(
    node: Node, inner: str, message: str, *, file: Path | str | None, line: int | None, hint: str | None = None
) -> FlowDefinitionError:
    """A node that cannot be loaded: `ResolveToolError` around the kind `inner`, in prompt flow's form of message."""
    return FlowDefinitionError(
        f"Tool load failed in '{node.name}': ({inner}) {message}",
        file=file,
        line=line,
        node=node.name,
        hint=hint,
        kind="ResolveToolError",
        type=inner,
    )


def check_source(node: Node, folder: Path, *, file: Path) -> None:
    """Is there a source of a known type, does its file exist inside the flow, does it hold one tool?

    Raises:
        FlowDefinitionError: `ResolveToolError` around `UserErrorException`, `NotImplementedError`, `InvalidSource`,
            `PythonLoadError`, `NoToolDefined` or `MultipleToolsDefined`.
    """
    line = node.lines.get("source", node.line)
    if node.source is None:
        raise tool_error(
            node,
            "UserErrorException",
            "The node has no source.",
            file=file,
            line=node.line,
            hint="Write source: {type: code, path: FILE}.",
        )
    if node.type not in NODE_TYPES:
        what = "has no type" if node.type is None else f"has the type {node.type!r}, which cannot run here"
        raise tool_error(
            node,
            "NotImplementedError",
            f"The node {what}.",
            file=file,
            line=node.lines.get("type", node.line),
            hint=suggest(node.type or "", NODE_TYPES),
        )
    if node.source.type in ("package", "package_with_prompt") and not node.source.tool:
        raise tool_error(node, "InvalidSource", "A package source needs the id of a tool.", file=file, line=line)
    if node.source.type in ("code", "package_with_prompt"):
        path = source_path(node, folder, file=file)
        if node.type == "python":
            _check_python(node, path)


def source_path(node: Node, folder: Path, *, file: Path | str | None = None) -> Path:
    """The file of a node, checked to exist and to lie inside the flow's folder.

    The check goes by the path as written: a symbolic link inside the folder may lead elsewhere, as its owner wants.

    Raises:
        FlowDefinitionError: `ResolveToolError` around `InvalidSource`.
    """
    line = node.lines.get("source.path", node.lines.get("source", node.line))
    written = node.source.path if node.source else None
    if not written:
        raise tool_error(node, "InvalidSource", "The source has no path.", file=file, line=line)
    path = inside(folder, written)
    if path is None:
        raise tool_error(
            node,
            "InvalidSource",
            f"The source {written!r} lies outside the flow's folder.",
            file=file,
            line=line,
            hint="Move the file into the folder, or list it under additional_includes.",
        )
    if not path.is_file():
        what = (
            f"Load tool failed for node '{node.name}'. Tool file '{written}' can not be found."
            if node.type == "python"
            else f"Node source path '{written}' is invalid on node '{node.name}'."
        )
        raise tool_error(
            node,
            "InvalidSource",
            what,
            file=file,
            line=line,
            hint=hint_for_file(written, files_named(folder, path.suffix)),
        )
    return path


def files_named(folder: Path, suffix: str) -> list[str]:
    """Files of one suffix in the folder and in the folders in it, as a flow would name them; for hints."""
    found = (path for pattern in ("*", "*/*") for path in sorted(folder.glob(pattern + suffix))[:50])
    return [path.relative_to(folder).as_posix() for path in found]


def hint_for_file(written: str, names: Collection[str]) -> str:
    """The file that was meant, among the flow's files of the same kind; paths start in the flow's folder."""
    if not names:
        return f"The flow's folder holds no {Path(written).suffix or 'such'} file at all."
    same = [name for name in names if Path(name).name == Path(written).name]
    return suggest(same[0] if same else written, names)


def inside(folder: Path, written: str) -> Path | None:
    """`written` below `folder`, or None when it leads out of it; backslashes of Windows files are understood."""
    for text in (written, written.replace("\\", "/")):
        path = Path(os.path.normpath(folder / text))
        if not path.is_relative_to(os.path.normpath(folder)):
            return None
        if path.exists():
            break
    return path


def _check_python(node: Node, path: Path) -> None:
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise tool_error(
            node,
            "PythonLoadError",
            f"The file is not valid Python: {getattr(error, 'msg', error)}.",
            file=path,
            line=line,
        ) from error
    tools = ToolFinder(tree)
    if len(tools.found) > 1:
        names = ", ".join(tools.found)
        line = sorted(tools.found.values())[1]
        raise tool_error(
            node,
            "MultipleToolsDefined",
            f"The file defines {len(tools.found)} tools: {names}.",
            file=path,
            line=line,
            hint="Keep one @tool in a file.",
        )
    if not tools.found and tools.is_certain and not _missing_imports(tree, path.parent):
        functions = (n for n in tree.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
        raise tool_error(
            node,
            "NoToolDefined",
            "No function of the file is decorated with @tool.",
            file=path,
            line=next((function.lineno for function in functions), 1),
            hint="Decorate the function that the node calls: from promptflow.core import tool.",
        )


def _missing_imports(tree: ast.Module, folder: Path) -> list[str]:
    """Top-level packages that the module imports and that cannot be found from here.

    Then importing it fails first, or it is meant for an environment of its own: not for us to say here.
    """
    names: set[str] = set()
    for statement in ast.walk(tree):
        if isinstance(statement, ast.Import):
            names.update(alias.name.split(".")[0] for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
            names.add(statement.module.split(".")[0])
    return [name for name in sorted(names) if not _can_import(name, folder)]


def _can_import(name: str, folder: Path) -> bool:
    if name in sys.stdlib_module_names or name in ("promptflow", "genaiops"):
        return True
    return (folder / name).exists() or (folder / f"{name}.py").exists() or importlib.util.find_spec(name) is not None


class ToolFinder:
    """The functions of a module that are decorated with prompt flow's `tool`, by qualified name and line.

    `is_certain` is False when the text cannot tell: a star import, or `tool` used in another way than as a decorator.
    """

    def __init__(self, tree: ast.Module) -> None:
        self.found: dict[str, int] = {}
        self._names: set[str] = set()
        self._modules: set[str] = set()
        self._star = False
        for statement in ast.walk(tree):
            self._note_import(statement)
        decorators: set[int] = set()
        for function, name in _functions(tree.body, ""):
            for decorator in function.decorator_list:
                core = decorator.func if isinstance(decorator, ast.Call) else decorator
                if self._is_tool(core):
                    self.found[name] = function.lineno
                    decorators.add(id(core))
        used = {id(item) for item in ast.walk(tree) if isinstance(item, ast.expr) and self._is_tool(item)}
        self.is_certain = not self._star and not (used - decorators)

    def _note_import(self, statement: ast.AST) -> None:
        if isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                if alias.name == "*":
                    self._star = True
                elif alias.name == "tool":
                    self._names.add(alias.asname or alias.name)
                elif (statement.module or "").split(".")[0] == "promptflow":
                    self._modules.add(alias.asname or alias.name)
        elif isinstance(statement, ast.Import):
            for alias in statement.names:
                if alias.name.split(".")[0] in ("promptflow", "genaiops"):
                    self._modules.add((alias.asname or alias.name).split(".")[0])

    def _is_tool(self, expression: ast.expr) -> bool:
        if isinstance(expression, ast.Name):
            return expression.id in self._names
        if isinstance(expression, ast.Attribute) and expression.attr == "tool":
            root: ast.expr = expression.value
            while isinstance(root, ast.Attribute):
                root = root.value
            return isinstance(root, ast.Name) and root.id in self._modules
        return False


def _functions(body: list[ast.stmt], prefix: str) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef, str]]:
    """Functions and methods of a module, also those under `if` and `try`, not those inside functions."""
    for statement in body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            yield statement, prefix + statement.name
        elif isinstance(statement, ast.ClassDef):
            yield from _functions(statement.body, f"{prefix}{statement.name}.")
        elif isinstance(statement, ast.If | ast.Try | ast.With):
            yield from _functions(statement.body, prefix)
            if not isinstance(statement, ast.With):
                yield from _functions(statement.orelse, prefix)
            if isinstance(statement, ast.Try):
                for handler in statement.handlers:
                    yield from _functions(handler.body, prefix)
