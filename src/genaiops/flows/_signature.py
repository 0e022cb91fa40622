"""What a function or a class takes and gives: read from its source text, or from the object itself."""

from __future__ import annotations

import ast
import dataclasses
import enum
import inspect
from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from genaiops.flows._annotations import TypeNames, type_of_annotation, type_of_expression
from genaiops.flows._model import InputDef, OutputDef
from genaiops.records import record


@record(frozen=True, kw_only=True)
class Signature:
    """Inputs, `init` inputs and outputs of an entry.

    `outputs` is empty when the entry gives a single value or a dict whose keys nobody declared.
    """

    kind: str
    inputs: Mapping[str, InputDef] = field(default_factory=dict)
    outputs: Mapping[str, OutputDef] = field(default_factory=dict)
    init: Mapping[str, InputDef] = field(default_factory=dict)
    line: int | None = None


# From the object


def signature_of(entry: Any) -> Signature:
    """The signature of a function, of a class with `__call__`, or of an object that can be called."""
    if inspect.isclass(entry):
        return Signature(
            kind="class",
            inputs=parameters_of(entry.__call__, skip_first=True),
            outputs=_outputs_of(entry.__call__),
            init=parameters_of(entry.__init__, skip_first=True),
        )
    function = entry if inspect.isroutine(entry) else entry.__call__
    return Signature(kind="function", inputs=parameters_of(function), outputs=_outputs_of(function))


def parameters_of(function: Callable[..., Any], *, skip_first: bool = False) -> dict[str, InputDef]:
    """The named parameters of a function; `*args` and `**kwargs` take nothing from a flow."""
    if function is object.__init__:
        return {}
    parameters = list(inspect.signature(unwrapped(function)).parameters.values())
    if skip_first and parameters:
        parameters = parameters[1:]
    return {
        parameter.name: input_of_parameter(parameter)
        for parameter in parameters
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    }


def input_of_parameter(parameter: inspect.Parameter) -> InputDef:
    """One parameter as an input definition."""
    names = type_of_annotation(parameter.annotation, parameter.default)
    has_default = parameter.default is not parameter.empty
    default = parameter.default if has_default else None
    values = parameter.annotation if inspect.isclass(parameter.annotation) else None
    return InputDef(
        type=names.name,
        types=names.connections,
        default=default.value if isinstance(default, enum.Enum) else default,
        has_default=has_default,
        is_optional=names.is_optional or (has_default and default is None),
        enum=tuple(option.value for option in values) if values and issubclass(values, enum.Enum) else (),
    )


def unwrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function behind `@tool` and `@trace`."""
    return getattr(function, "__original_function", function)


def _outputs_of(function: Callable[..., Any]) -> dict[str, OutputDef]:
    annotation = inspect.signature(unwrapped(function)).return_annotation
    if isinstance(annotation, str):
        try:
            annotation = inspect.signature(unwrapped(function), eval_str=True).return_annotation
        except Exception:  # noqa: BLE001 - evaluating a user's annotation may raise anything
            return {}
    return outputs_of_annotation(annotation)


def outputs_of_annotation(annotation: Any) -> dict[str, OutputDef]:
    """The outputs that a dataclass or a TypedDict names."""
    if dataclasses.is_dataclass(annotation):
        return {f.name: OutputDef(type=type_of_annotation(f.type).name) for f in dataclasses.fields(annotation)}
    keys = getattr(annotation, "__annotations__", None)
    if inspect.isclass(annotation) and issubclass(annotation, dict) and keys:
        return {name: OutputDef(type=type_of_annotation(kind).name) for name, kind in keys.items()}
    return {}


# From the text


def signature_in_text(path: Path, name: str) -> Signature | None:
    """The signature of `name` in a Python file that is not imported, or None when the text does not define it.

    Raises:
        SyntaxError: The file is not Python.
    """
    tree = ast.parse(path.read_bytes(), filename=str(path))
    found = {statement.name: statement for statement in tree.body if isinstance(statement, _DEFINITIONS)}
    entry = found.get(name)
    if entry is None:
        return None
    classes = {key: item for key, item in found.items() if isinstance(item, ast.ClassDef)}
    if not isinstance(entry, ast.ClassDef):
        return Signature(
            kind="function",
            inputs=_inputs_in_text(entry),
            outputs=_outputs_in_text(entry.returns, classes),
            line=entry.lineno,
        )
    call = _method(entry, "__call__", classes)
    init = _method(entry, "__init__", classes)
    if call is None:
        return None
    return Signature(
        kind="class",
        inputs=_inputs_in_text(call, skip_first=True),
        outputs=_outputs_in_text(call.returns, classes),
        init=_inputs_in_text(init, skip_first=True) if init is not None else _fields_in_text(entry),
        line=entry.lineno,
    )


_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def _method(entry: ast.ClassDef, name: str, classes: Mapping[str, ast.ClassDef]) -> _Function | None:
    """A method of a class, or of a base class in the same file."""
    for statement in entry.body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef) and statement.name == name:
            return statement
    for base in entry.bases:
        if isinstance(base, ast.Name) and base.id in classes and base.id != entry.name:
            inherited = _method(classes[base.id], name, classes)
            if inherited is not None:
                return inherited
    return None


def _inputs_in_text(function: _Function, *, skip_first: bool = False) -> dict[str, InputDef]:
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(arguments.defaults))
    pairs = list(zip(positional, [*defaults, *arguments.defaults], strict=True))
    if skip_first:
        pairs = pairs[1:]
    pairs += list(zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True))
    return {argument.arg: _input_in_text(argument, default) for argument, default in pairs}


def _input_in_text(argument: ast.arg, default: ast.expr | None) -> InputDef:
    value = _literal(default)
    names = type_of_expression(argument.annotation)
    if argument.annotation is None and value is not None:
        names = type_of_annotation(type(value))
    return _definition(names, value, has_default=default is not None, line=argument.lineno)


def _definition(names: TypeNames, default: Any, *, has_default: bool, line: int | None) -> InputDef:
    return InputDef(
        type=names.name,
        types=names.connections,
        default=default,
        has_default=has_default,
        is_optional=names.is_optional or (has_default and default is None),
        line=line,
    )


def _fields_in_text(entry: ast.ClassDef) -> dict[str, InputDef]:
    """The fields of a dataclass, whose `__init__` is nowhere written."""
    names = {ast.unparse(d.func if isinstance(d, ast.Call) else d).split(".")[-1] for d in entry.decorator_list}
    if "dataclass" not in names:
        return {}
    return {
        item.target.id: _definition(
            type_of_expression(item.annotation),
            _literal(item.value),
            has_default=item.value is not None,
            line=item.lineno,
        )
        for item in entry.body
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
    }


def _outputs_in_text(returns: ast.expr | None, classes: Mapping[str, ast.ClassDef]) -> dict[str, OutputDef]:
    name = returns.id if isinstance(returns, ast.Name) else None
    if isinstance(returns, ast.Constant) and isinstance(returns.value, str):
        name = returns.value
    result = classes.get(name or "")
    if result is None:
        return {}
    return {
        item.target.id: OutputDef(type=type_of_expression(item.annotation).name, line=item.lineno)
        for item in result.body
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
    }


def _literal(expression: ast.expr | None) -> Any:
    """The value of a literal; None for anything that would have to be run."""
    if expression is None:
        return None
    try:
        return ast.literal_eval(expression)
    except (ValueError, TypeError, SyntaxError):
        return None
