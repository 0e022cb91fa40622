"""What Python source says without running it: its tools, their parameters, the names it defines."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from pathlib import Path

from genaiops.records import record

# Packages whose `tool` is the decorator; another library's `tool` makes no node.
_TOOL_PACKAGES = ("promptflow", "genaiops")
_TYPES = {
    "int": "int",
    "float": "double",
    "bool": "bool",
    "str": "string",
    "list": "list",
    "List": "list",
    "dict": "object",
    "Dict": "object",
    "Secret": "secret",
    "PromptTemplate": "prompt_template",
    "FilePath": "file_path",
    "Image": "image",
    "AssistantDefinition": "assistant_definition",
}


@record(frozen=True, slots=True)
class Parameter:
    """One parameter of a function.

    Args:
        types: Prompt flow's types it accepts, `object` when nothing is known; connection classes by their own name.
    """

    name: str
    has_default: bool
    types: tuple[str, ...]

    @property
    def connection_types(self) -> tuple[str, ...]:
        """The connection classes it accepts; empty for ordinary parameters."""
        return tuple(name for name in self.types if name.endswith("Connection"))


@record(frozen=True, slots=True)
class FunctionFacts:
    """A function and how it may be called.

    Args:
        takes_any: It has `**kwargs`, or its signature cannot be known from the text.
    """

    name: str
    line: int
    parameters: tuple[Parameter, ...]
    takes_any: bool = False

    @property
    def required(self) -> list[str]:
        """Names that a call must give."""
        return [parameter.name for parameter in self.parameters if not parameter.has_default]

    def parameter(self, name: str) -> Parameter | None:
        """The parameter of this name."""
        return next((p for p in self.parameters if p.name == name), None)


@record(frozen=True, slots=True)
class ClassFacts:
    """A class: its constructor, its call, its aggregation; None where it does not define one itself."""

    name: str
    line: int
    init: FunctionFacts | None
    call: FunctionFacts | None
    aggregate: FunctionFacts | None
    inherits: bool


@record(frozen=True, slots=True)
class SourceFacts:
    """What the text of one Python file says.

    Args:
        tools: Functions decorated with prompt flow's `tool`, by the order written.
        may_hide_tools: Something in the file could make a tool in a way the text does not show.
        names: Every name bound at the top of the module.
        open_ended: The module may hold names that the text does not show (`import *`, `__getattr__`).
    """

    path: Path
    tools: tuple[FunctionFacts, ...]
    may_hide_tools: bool
    functions: dict[str, FunctionFacts]
    classes: dict[str, ClassFacts]
    names: frozenset[str]
    open_ended: bool


def parse_source(path: Path) -> ast.Module:
    """The syntax tree of a file.

    Raises:
        SyntaxError: The text is not Python; with its line.
    """
    with warnings.catch_warnings():
        # A doubtful escape in somebody's string is not our finding.
        warnings.simplefilter("ignore")
        return ast.parse(path.read_bytes(), filename=str(path))


def read_source(path: Path) -> SourceFacts:
    """Read one Python file.

    Raises:
        SyntaxError: The text is not Python; with its line.
    """
    tree = parse_source(path)
    statements = list(_module_statements(tree.body))
    enums = {node.name for node in statements if isinstance(node, ast.ClassDef) and _has_base(node, "Enum")}
    names = frozenset(name for node in statements for name in _bound_names(node))
    decorators = _tool_names(statements)
    tools: dict[str, FunctionFacts] = {}
    hidden = False
    functions: dict[str, FunctionFacts] = {}
    classes: dict[str, ClassFacts] = {}
    for node in statements:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            facts = _function(node, enums)
            functions[node.name] = facts
            if _is_tool(node, decorators):
                tools[node.name] = facts
            elif node.decorator_list:
                hidden = True
        elif isinstance(node, ast.ClassDef):
            classes[node.name] = _class(node, enums)
            tools |= {f"{node.name}.{tool.name}": tool for tool in _class_tools(node, decorators, enums)}
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            wrapped = _wrapped_tool(node.value, decorators, functions)
            if wrapped is not None:
                tools[wrapped.name] = wrapped
    return SourceFacts(
        path=path,
        tools=tuple(tools.values()),
        may_hide_tools=hidden,
        functions=functions,
        classes=classes,
        names=names,
        open_ended="*" in names or "__getattr__" in names,
    )


def _module_statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements that run when the module is imported, those inside `if`, `try`, `with` and loops too."""
    for node in body:
        yield node
        for field in ("body", "orelse", "finalbody"):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield from _module_statements(getattr(node, field, []) or [])
        for handler in getattr(node, "handlers", []):
            yield from _module_statements(handler.body)


def _bound_names(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        for alias in node.names:
            yield alias.asname or alias.name.partition(".")[0]
    elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            yield from (name.id for name in ast.walk(target) if isinstance(name, ast.Name))


def _tool_names(statements: list[ast.stmt]) -> frozenset[str]:
    """The spellings under which this file knows prompt flow's `tool` decorator: `tool`, `core.tool`, …"""
    found: set[str] = set()
    for node in statements:
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in _TOOL_PACKAGES:
            for alias in node.names:
                name = alias.asname or alias.name
                found.add(name if alias.name in ("tool", "*") else f"{name}.tool")
                found |= {"tool"} if alias.name == "*" else set()
        elif isinstance(node, ast.Import):
            for alias in node.names:
                package = alias.name.split(".")[0]
                if package in _TOOL_PACKAGES:
                    name = alias.asname or package
                    found |= {f"{name}.tool", f"{name}.core.tool", f"{alias.name}.tool"}
    return frozenset(found)


def _is_tool(node: ast.FunctionDef | ast.AsyncFunctionDef, spellings: frozenset[str]) -> bool:
    return any(_is_tool_name(decorator, spellings) for decorator in node.decorator_list)


def _is_tool_name(decorator: ast.expr, spellings: frozenset[str]) -> bool:
    return ast.unparse(decorator.func if isinstance(decorator, ast.Call) else decorator) in spellings


def _class_tools(node: ast.ClassDef, decorators: frozenset[str], enums: set[str]) -> Iterator[FunctionFacts]:
    """Tool methods of a class; they are given their constructor's arguments too."""
    init: tuple[Parameter, ...] = ()
    for item in node.body:
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef) and item.name == "__init__":
            init = _function(item, enums, is_method=True).parameters
    for item in node.body:
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef) and _is_tool(item, decorators):
            facts = _function(item, enums, is_method=True)
            own = {parameter.name for parameter in facts.parameters}
            joined = (*(p for p in init if p.name not in own), *facts.parameters)
            yield FunctionFacts(facts.name, facts.line, joined, facts.takes_any)


def _wrapped_tool(
    call: ast.Call, decorators: frozenset[str], functions: dict[str, FunctionFacts]
) -> FunctionFacts | None:
    """`name = tool(function)`."""
    if not _is_tool_name(call.func, decorators) or not call.args or not isinstance(call.args[0], ast.Name):
        return None
    return functions.get(call.args[0].id)


def _class(node: ast.ClassDef, enums: set[str]) -> ClassFacts:
    methods = {
        item.name: _function(item, enums, is_method=True)
        for item in node.body
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    init = methods.get("__init__")
    if init is None and any("dataclass" in ast.unparse(d) for d in node.decorator_list):
        init = FunctionFacts("__init__", node.lineno, _dataclass_fields(node, enums))
    bases = [base for base in node.bases if not (isinstance(base, ast.Name) and base.id == "object")]
    return ClassFacts(
        name=node.name,
        line=node.lineno,
        init=init,
        call=methods.get("__call__"),
        aggregate=methods.get("__aggregate__"),
        inherits=bool(bases) or bool(node.keywords),
    )


def _dataclass_fields(node: ast.ClassDef, enums: set[str]) -> tuple[Parameter, ...]:
    return tuple(
        Parameter(item.target.id, item.value is not None, _types(item.annotation, None, enums))
        for item in node.body
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
    )


def _function(
    node: ast.FunctionDef | ast.AsyncFunctionDef, enums: set[str], *, is_method: bool = False
) -> FunctionFacts:
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    static = any(isinstance(d, ast.Name) and d.id == "staticmethod" for d in node.decorator_list)
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(arguments.defaults)) + list(arguments.defaults)
    pairs = list(zip(positional, defaults, strict=True))
    if is_method and not static:
        pairs = pairs[1:]
    pairs += list(zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True))
    parameters = tuple(
        Parameter(argument.arg, default is not None, _types(argument.annotation, default, enums))
        for argument, default in pairs
    )
    return FunctionFacts(node.name, node.lineno, parameters, arguments.kwarg is not None)


def _types(annotation: ast.expr | None, default: ast.expr | None, enums: set[str]) -> tuple[str, ...]:
    """Prompt flow's types for an annotation; without one, the type of the default."""
    if annotation is None:
        value = default.value if isinstance(default, ast.Constant) else None
        return (_TYPES.get(type(value).__name__, "object"),)
    return tuple(dict.fromkeys(_annotation_types(annotation, enums))) or ("object",)


def _annotation_types(node: ast.expr, enums: set[str]) -> Iterator[str]:
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            try:
                yield from _annotation_types(ast.parse(node.value, mode="eval").body, enums)
            except SyntaxError:
                yield "object"
    elif isinstance(node, ast.Name | ast.Attribute):
        name = node.id if isinstance(node, ast.Name) else node.attr
        is_known = name.endswith("Connection")
        yield "string" if name in enums else name if is_known else _TYPES.get(name, "object")
    elif isinstance(node, ast.Subscript):
        outer = node.value.id if isinstance(node.value, ast.Name) else getattr(node.value, "attr", "")
        if outer in ("Optional", "Union", "Annotated"):
            inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            for item in inner[:1] if outer == "Annotated" else inner:
                yield from _annotation_types(item, enums)
        else:
            yield _TYPES.get(outer, "object")
    elif isinstance(node, ast.BinOp):
        yield from _annotation_types(node.left, enums)
        yield from _annotation_types(node.right, enums)


def _has_base(node: ast.ClassDef, name: str) -> bool:
    return any(ast.unparse(base).rpartition(".")[2] in (name, f"Str{name}", f"Int{name}") for base in node.bases)
