"""`@tool` and `ToolProvider`: what makes a Python function a tool."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, overload

from genaiops.flows._exceptions import UserErrorException
from genaiops.tracing import trace

ORIGINAL = "__original_function"
_MARK = "__tool"
_SELF = "__genaiops_tool__"
_TYPES = ("llm", "python", "csharp", "prompt", "action", "custom_llm")


@overload
def tool(func: Callable[..., Any], /) -> Callable[..., Any]: ...
@overload
def tool(
    func: None = None,
    *,
    name: str | None = None,
    description: str | None = None,
    type: str | None = None,
    input_settings: Mapping[str, Any] | None = None,
    streaming_option_parameter: str | None = None,
    cache: bool = False,
    **extra: Any,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]: ...
def tool(
    func: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    description: str | None = None,
    type: str | None = None,  # noqa: A002
    input_settings: Mapping[str, Any] | None = None,
    streaming_option_parameter: str | None = None,
    cache: bool = False,
    **extra: Any,
) -> Any:
    """Make a function a tool that a node can call; outside of a flow it behaves as before.

    Args:
        func: A plain, async, generator or async generator function, or a method of a `ToolProvider`.
        name: What editors call it.
        description: For editors.
        type: `python` or `custom_llm`.
        input_settings: For editors.
        streaming_option_parameter: The parameter that asks the tool to stream.
        cache: Keep the results by content: the same source and inputs are not run twice.
        extra: Kept as written.

    Example:
        >>> @tool
        ... def shout(text: str) -> str:
        ...     return text.upper()
        >>> shout("hi")
        'HI'
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        if type is not None and type not in _TYPES:
            raise UserErrorException(f"Tool type {type} is not supported yet.")
        wrapper = trace(function)
        marks = {
            ORIGINAL: function,
            _MARK: None,
            "__name": name,
            "__description": description,
            "__type": type,
            "__input_settings": input_settings,
            "__extra_info": extra,
            "__cache": cache,
            _SELF: wrapper,
        }
        for key, value in marks.items():
            setattr(wrapper, key, value)
        if streaming_option_parameter:
            setattr(wrapper, "_streaming_option_parameter", streaming_option_parameter)  # noqa: B010
        return wrapper

    return decorate if func is None else decorate(func)


def is_tool(item: Any) -> bool:
    """True for a function that `@tool` decorated."""
    return inspect.isroutine(item) and hasattr(item, _MARK)


def plain_function(item: Callable[..., Any]) -> Callable[..., Any]:
    """What a node calls: the function under `@tool`, unless another decorator stands above it.

    The node has a span of its own, so the one that `@tool` would make is left out.
    """
    function = getattr(item, "__func__", item)
    if getattr(function, _SELF, None) is not function:
        return item
    original: Callable[..., Any] = getattr(function, ORIGINAL)
    owner = getattr(item, "__self__", None)
    return original if owner is None else original.__get__(owner)


def unwrap_for_signature(item: Callable[..., Any]) -> Callable[..., Any]:
    """The function whose signature counts: the innermost one that `@tool` or `@trace` wrapped."""
    function = getattr(item, "__func__", item)
    original: Callable[..., Any] = getattr(function, ORIGINAL, function)
    owner = getattr(item, "__self__", None)
    return original if owner is None or original is function else original.__get__(owner)


class ToolProvider:
    """Base of tools that are classes: `__init__` takes constant inputs, one method with `@tool` does the work."""

    _initialize_inputs: dict[str, inspect.Parameter] | None = None

    @classmethod
    def get_initialize_inputs(cls) -> dict[str, inspect.Parameter]:
        """The parameters of `__init__`, without `self`."""
        if cls.__init__ is object.__init__:
            return {}
        parameters = inspect.signature(cls.__init__).parameters
        return {
            key: value
            for key, value in parameters.items()
            if key != "self" and value.kind not in (value.VAR_POSITIONAL, value.VAR_KEYWORD)
        }

    @classmethod
    def get_required_initialize_inputs(cls) -> dict[str, inspect.Parameter]:
        """Those without a default."""
        return {key: value for key, value in cls.get_initialize_inputs().items() if value.default is value.empty}
