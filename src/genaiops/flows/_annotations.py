"""From a Python annotation, or its text, to the type names of flow files."""

from __future__ import annotations

import ast
import enum
import inspect
import types
import typing
from typing import Any, NamedTuple

_NAMES = {
    "str": "string",
    "int": "int",
    "float": "double",
    "bool": "bool",
    "list": "list",
    "List": "list",
    "dict": "object",
    "Dict": "object",
    "Secret": "secret",
    "PromptTemplate": "prompt_template",
    "FilePath": "file_path",
    "Image": "image",
    "AssistantDefinition": "assistant_definition",
    "AzureOpenAIModelConfiguration": "AzureOpenAIModelConfiguration",
    "OpenAIModelConfiguration": "OpenAIModelConfiguration",
}


class TypeNames(NamedTuple):
    """What an annotation means.

    Args:
        name: The type: one of a flow file's, or the first connection class.
        connections: Every connection class that is allowed, empty when the parameter takes no connection.
        is_optional: None is allowed.
    """

    name: str
    connections: tuple[str, ...] = ()
    is_optional: bool = False


OBJECT = TypeNames("object")


def type_of_annotation(annotation: Any, default: Any = inspect.Parameter.empty) -> TypeNames:
    """What a runtime annotation means; without one, what the default's type means."""
    if annotation is inspect.Parameter.empty:
        if default is inspect.Parameter.empty or default is None:
            return OBJECT
        return TypeNames("string") if isinstance(default, enum.Enum) else _of_name(type(default).__name__)
    if isinstance(annotation, str):
        return type_of_text(annotation)
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        return _of_union([type_of_annotation(arg) for arg in typing.get_args(annotation)])
    if origin is typing.Annotated:
        return type_of_annotation(typing.get_args(annotation)[0])
    if annotation is None or annotation is type(None):
        return TypeNames("object", is_optional=True)
    if inspect.isclass(origin):
        annotation = origin
    if inspect.isclass(annotation):
        if issubclass(annotation, enum.Enum):
            return TypeNames("string")
        if any(base.__name__ == "CustomStrongTypeConnection" for base in annotation.__mro__):
            return TypeNames(annotation.__name__, (annotation.__name__,))
        for base in annotation.__mro__:
            if base.__name__ in _NAMES and not (base is not annotation and base is str):
                return _of_name(base.__name__) if base is annotation or base.__name__ != "dict" else OBJECT
    return _of_name(getattr(annotation, "__name__", ""))


def type_of_text(text: str) -> TypeNames:
    """What an annotation means that is only known as text, as after `from __future__ import annotations`."""
    try:
        return type_of_expression(ast.parse(text, mode="eval").body)
    except SyntaxError:
        return OBJECT


def type_of_expression(expression: ast.expr | None) -> TypeNames:
    """What an annotation in a syntax tree means."""
    if expression is None:
        return OBJECT
    if isinstance(expression, ast.Constant):
        if expression.value is None:
            return TypeNames("object", is_optional=True)
        return type_of_text(expression.value) if isinstance(expression.value, str) else OBJECT
    if isinstance(expression, ast.Name):
        return _of_name(expression.id)
    if isinstance(expression, ast.Attribute):
        return _of_name(expression.attr)
    if isinstance(expression, ast.BinOp) and isinstance(expression.op, ast.BitOr):
        return _of_union([type_of_expression(expression.left), type_of_expression(expression.right)])
    if isinstance(expression, ast.Subscript):
        return _of_subscript(expression)
    return OBJECT


def _of_subscript(expression: ast.Subscript) -> TypeNames:
    outer = expression.value
    name = outer.attr if isinstance(outer, ast.Attribute) else outer.id if isinstance(outer, ast.Name) else ""
    inner = expression.slice.elts if isinstance(expression.slice, ast.Tuple) else [expression.slice]
    if name == "Optional":
        return type_of_expression(inner[0])._replace(is_optional=True)
    if name == "Union":
        return _of_union([type_of_expression(item) for item in inner])
    if name == "Annotated":
        return type_of_expression(inner[0])
    return _of_name(name)


def _of_name(name: str) -> TypeNames:
    if name.endswith("Connection"):
        return TypeNames(name, (name,))
    return TypeNames(_NAMES.get(name, "object"))


def _of_union(members: list[TypeNames]) -> TypeNames:
    named = [member for member in members if not (member.is_optional and member.name == "object")]
    is_optional = len(named) < len(members) or any(member.is_optional for member in members)
    if len(named) == 1:
        return named[0]._replace(is_optional=is_optional)
    if named and all(member.connections for member in named):
        names = tuple(name for member in named for name in member.connections)
        return TypeNames(names[0], names, is_optional)
    return TypeNames("object", is_optional=is_optional)
