"""Flow inputs: defaults filled in, values converted to their declared types.

The table is prompt flow's: `int("3")` is fine and `int("3.0")` is not, `string` of null is the text `None`, an `object`
that is not JSON stays text. It applies to flow inputs and to literals in a node; values between nodes pass untouched.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from genaiops.errors import RowError, suggest
from genaiops.flows._model import InputDef

ImageLoader = Callable[[Any, str], Any]


def _to_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise ValueError(f"{value!r} is neither true nor false")


def _to_list(value: Any) -> list[Any]:
    if isinstance(value, str):
        value = json.loads(value)
    if not isinstance(value, list):
        raise ValueError(f"{value!r} is not a list")
    return value


def _to_object(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


# A type that is missing here leaves its value as it is.
CONVERTERS: Mapping[str, Callable[[Any], Any]] = {
    "int": int,
    "double": float,
    "bool": _to_bool,
    "string": str,
    "list": _to_list,
    "object": _to_object,
}

VALUE_TYPES = frozenset(
    {*CONVERTERS, "secret", "prompt_template", "file_path", "image", "assistant_definition"},
)


def convert_value(value: Any, type_name: str) -> Any:
    """`value` as `type_name`.

    Raises:
        json.JSONDecodeError: Text that should be a JSON list is not.
        ValueError, TypeError, OverflowError: Any other value that cannot be converted.
    """
    converter = CONVERTERS.get(type_name)
    return value if converter is None else converter(value)


class InputConverter:
    """The inputs of a flow, compiled: one pass over the declared names for each row.

    Args:
        inputs: The declared inputs.
        load_image: Called with a value and its type for values that are, or may hold, images; None when no input can.
        load_default_image: The same for defaults, when their author may name more files than a row may.
        omittable: Inputs that may be missing although they have no default here: the Python function has one.
        keep_null: Null stays null where the input is optional; graph flows make it the text `None`.
        file: The flow's file, named where a default cannot be converted.
    """

    def __init__(
        self,
        inputs: Mapping[str, InputDef],
        load_image: ImageLoader | None = None,
        *,
        load_default_image: ImageLoader | None = None,
        omittable: frozenset[str] = frozenset(),
        keep_null: bool = False,
        file: Path | None = None,
    ) -> None:
        self._inputs = inputs
        self._load_image = load_image
        self._load_default_image = load_default_image or load_image
        self._omittable = omittable
        self._keep_null = keep_null
        self._file = file
        self._plan = tuple(
            (name, declared, CONVERTERS.get(declared.type), declared.type) for name, declared in inputs.items()
        )

    def convert(self, values: Mapping[str, Any], row: int | None = None) -> dict[str, Any]:
        """The inputs of one row: defaults in, types converted, undeclared keys kept.

        Raises:
            RowError: Of kind `InputNotFound`, `InputParseError`, `InputTypeError` or `InvalidImageInput`.
        """
        result = dict(values)
        for name, declared, converter, type_name in self._plan:
            if name in result:
                value = result[name]
            elif declared.default is not None and not (declared.default == "" and name in self._omittable):
                value = declared.default
            elif name in self._omittable:
                continue
            else:
                raise self._missing(name, values, row)
            # A value that has its type already is by far the commonest case, and it is identical after conversion.
            if value is None and self._keep_null and declared.is_optional:
                result[name] = None
                continue
            if converter is not None and not (converter is str and type(value) is str):
                value = self._converted(name, value, converter, type_name, row, is_default=name not in values)
            if self._load_image is not None and (type_name == "image" or type(value) in (dict, list)):
                load = self._load_image if name in values else self._load_default_image
                value = load(value, type_name) if load is not None else value
            result[name] = value
        return result

    def _converted(
        self,
        name: str,
        value: Any,
        converter: Callable[[Any], Any],
        type_name: str,
        row: int | None,
        *,
        is_default: bool,
    ) -> Any:
        what = f"The default of the input {name!r}" if is_default else f"The input {name!r}{_in_row(row)}"
        file, line = (self._file, self._inputs[name].line) if is_default else (None, None)
        try:
            return converter(value)
        except json.JSONDecodeError as error:
            raise RowError(
                f"{what} should be a {type_name}, and its text is not JSON: {error.msg}.",
                file=file,
                line=line,
                kind="InputParseError",
                type=type(error).__name__,
            ) from error
        except Exception as error:  # the value is a user's and may raise anything when converted
            raise RowError(
                f"{what} should be of type {type_name} and is {type(value).__name__}: {_shortened(value)}.",
                file=file,
                line=line,
                kind="InputTypeError",
                type=type(error).__name__,
            ) from error

    def _missing(self, name: str, values: Mapping[str, Any], row: int | None) -> RowError:
        return RowError(
            f"The input {name!r} has no value{_in_row(row)} and no default.",
            kind="InputNotFound",
            hint=suggest(name, [key for key in values if key not in self._inputs]) if values else None,
        )


def _in_row(row: int | None) -> str:
    return "" if row is None else f" in line {row} of input data"


def _shortened(value: Any, limit: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[:limit] + "…"
