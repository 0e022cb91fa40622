"""Frozen dataclasses that cost little to import.

The standard library compiles six functions for each frozen dataclass, and a command imports more than a hundred of
them. Here only `__init__` is compiled; the others are the same for every class. To `dataclasses.fields`, `replace` and
`asdict`, and to type checkers, these are dataclasses like any other.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import MISSING, FrozenInstanceError, fields
from types import FunctionType
from typing import TYPE_CHECKING, Any

__all__ = ["record"]

if TYPE_CHECKING:
    from dataclasses import dataclass as record
else:

    def record(*, frozen: bool, kw_only: bool = False, slots: bool = False) -> Callable[[type], type]:
        """Make a class a frozen dataclass.

        Args:
            frozen: Must be true; it stands where the class is made so that readers and type checkers see it.
            kw_only: Arguments are given by name only.
            slots: Instances have no `__dict__`.
        """
        if not frozen:
            raise TypeError("A record is frozen. For a class that changes use dataclasses.dataclass.")

        def make(cls: type) -> type:
            # No function is compiled there; it finds the fields, and makes the slots.
            cls = dataclasses.dataclass(init=False, repr=False, eq=False, kw_only=kw_only, slots=slots)(cls)
            own = set(vars(cls))
            for name, function in (_OF_SLOTS if slots else _OF_ALL).items():
                if name not in own:
                    setattr(cls, name, function)
            cls.__init__ = _init_of(cls)
            return cls

        return make


_FACTORY = object()
_set = object.__setattr__


def _init_of(cls: type) -> Callable[..., None]:
    """`__init__` with the arguments that the fields ask for."""
    names: dict[str, Any] = {"_set": _set, "_FACTORY": _FACTORY}
    by_place: list[str] = ["self"]
    by_name: list[str] = []
    body: list[str] = []
    for field in fields(cls):
        if not field.init or field.hash is not None:
            raise TypeError(f"{cls.__name__}.{field.name}: a record knows no fields with init or hash of their own.")
        name = value = field.name
        argument = name
        if field.default_factory is not MISSING:
            names[f"_make_{name}"] = field.default_factory
            argument, value = f"{name}=_FACTORY", f"_make_{name}() if {name} is _FACTORY else {name}"
        elif field.default is not MISSING:
            names[f"_default_{name}"] = field.default
            argument = f"{name}=_default_{name}"
        (by_name if field.kw_only else by_place).append(argument)
        body.append(f" _set(self, {name!r}, {value})")
    if hasattr(cls, "__post_init__"):
        body.append(" self.__post_init__()")
    signature = ", ".join([*by_place, *(["*", *by_name] if by_name else [])])
    # As the standard library does. The text holds names of fields, which Python has checked, and no value.
    exec(f"def __init__({signature}):\n" + "\n".join(body or [" pass"]), names)  # noqa: S102
    init: Callable[..., None] = names["__init__"]
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    init.__annotations__ = {**{field.name: field.type for field in fields(cls)}, "return": None}
    return init


def _compared(record: Any) -> tuple[Any, ...]:
    return tuple([getattr(record, field.name) for field in fields(record) if field.compare])


class _Same:
    """What every record can do, given to each class as its own, as the standard library does."""

    def __eq__(self: Any, other: object) -> Any:
        return _compared(self) == _compared(other) if other.__class__ is self.__class__ else NotImplemented

    def __hash__(self: Any) -> int:
        return hash(_compared(self))

    def __repr__(self: Any) -> str:
        shown = (f"{field.name}={getattr(self, field.name)!r}" for field in fields(self) if field.repr)
        return f"{self.__class__.__qualname__}({', '.join(shown)})"

    def __setattr__(self: Any, name: str, value: object) -> None:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self: Any, name: str) -> None:
        raise FrozenInstanceError(f"cannot delete field {name!r}")


class _SameWithSlots:
    """A pickle cannot set what is frozen in the usual way, and there is no `__dict__` that it could fill."""

    def __getstate__(self: Any) -> list[Any]:
        return [getattr(self, field.name) for field in fields(self)]

    def __setstate__(self: Any, state: list[Any]) -> None:
        for field, value in zip(fields(self), state, strict=True):
            _set(self, field.name, value)


def _methods(*classes: type) -> dict[str, Any]:
    return {name: each for cls in classes for name, each in vars(cls).items() if isinstance(each, FunctionType)}


_OF_ALL = _methods(_Same)
_OF_SLOTS = _methods(_Same, _SameWithSlots)
