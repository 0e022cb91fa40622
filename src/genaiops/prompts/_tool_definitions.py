"""Tools and functions that a model may call: are they what the chat interface takes?"""

from __future__ import annotations

from typing import Any

from genaiops.prompts._errors import PromptError

_TOOLS = "ChatAPIInvalidTools"
_FUNCTIONS = "ChatAPIInvalidFunctions"


def check_tools(tools: Any) -> None:
    """Make sure that tools are a non-empty list of descriptions.

    Raises:
        PromptError: Kind `ChatAPIInvalidTools`.
    """
    for number, tool in enumerate(_items(tools, "tools", _TOOLS)):
        where = f"tools[{number}]"
        for key in ("type", "function"):
            if not isinstance(tool, dict) or key not in tool:
                raise _wrong(where, f"is a mapping with 'type' and 'function', found {_short(tool)}", _TOOLS)
        _check_function(f"{where}.function", tool["function"], _TOOLS)


def check_functions(functions: Any) -> None:
    """Make sure that functions (the older form of tools) are a non-empty list of descriptions.

    Raises:
        PromptError: Kind `ChatAPIInvalidFunctions`.
    """
    for number, function in enumerate(_items(functions, "functions", _FUNCTIONS)):
        _check_function(f"functions[{number}]", function, _FUNCTIONS)


def tool_choice_or_auto(choice: Any) -> Any:
    """`auto`, `none` or the tool that has to be called.

    Raises:
        PromptError: It is neither (kind `ChatAPIInvalidTools`).
    """
    if choice in (None, "", "auto", "none"):
        return choice or "auto"
    function = choice.get("function") if isinstance(choice, dict) and "type" in choice else None
    if isinstance(function, dict) and "name" in function:
        return choice
    raise _wrong(
        "tool_choice",
        "is 'auto', 'none' or {type: function, function: {name: …}}, found " + _short(choice),
        _TOOLS,
    )


def function_call_or_auto(choice: Any) -> Any:
    """`auto`, `none` or the function that has to be called.

    Raises:
        PromptError: It is neither (kind `ChatAPIInvalidFunctions`).
    """
    if choice in (None, "", "auto", "none"):
        return choice or "auto"
    if isinstance(choice, dict) and "name" in choice:
        return choice
    raise _wrong("function_call", f"is 'auto', 'none' or {{name: …}}, found {_short(choice)}", _FUNCTIONS)


def _items(value: Any, name: str, kind: str) -> list[Any]:
    if isinstance(value, list | tuple) and value:
        return list(value)
    raise _wrong(name, f"is a list with at least one entry, found {_short(value)}", kind)


def _check_function(where: str, function: Any, kind: str) -> None:
    if not isinstance(function, dict) or not {"name", "parameters"} <= function.keys():
        raise _wrong(where, f"is a mapping with 'name' and 'parameters', found {_short(function)}", kind)
    parameters = function["parameters"]
    if not isinstance(parameters, dict) or not {"type", "properties"} <= parameters.keys():
        raise _wrong(f"{where}.parameters", "is a JSON Schema with 'type' and 'properties'", kind)
    if parameters["type"] != "object" or not isinstance(parameters["properties"], dict):
        raise _wrong(f"{where}.parameters", "has the type 'object' and a mapping of properties", kind)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


def _wrong(where: str, expected: str, kind: str) -> PromptError:
    return PromptError(f"{where} {expected}.", kind=kind)
