"""Types that tools annotate their parameters with, and helpers that only editors read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any


class Secret(str):
    """A text that should not be shown."""

    __slots__ = ("secret_name",)

    def set_secret_name(self, name: str) -> None:
        """Remember where the secret came from."""
        self.secret_name = name


class PromptTemplate(str):
    """The parameter of a custom LLM tool that gets the text of the node's template."""

    __slots__ = ()


class FilePath(str):
    """The path of a file of the flow."""

    __slots__ = ()


class DynamicList:
    """How an editor would list values; never called here."""

    def __init__(self, function: Any, input_mapping: Mapping[str, str] | None = None) -> None:
        self.function = function
        self.func_path = function if isinstance(function, str) else _path_of(function)
        self.input_mapping = input_mapping
        self.func_kwargs: list[Any] = []


class GeneratedBy:
    """How an editor would generate a value; never called here."""

    def __init__(
        self, function: Any, input_mapping: Mapping[str, str] | None = None, reverse_function: Any = None
    ) -> None:
        self.function = function
        self.func_path = function if isinstance(function, str) else _path_of(function)
        self.reverse_function = reverse_function
        self.input_mapping = input_mapping
        self.func_kwargs: list[Any] = []


class InputSetting:
    """How an editor would show an input of a tool; it has no effect when the tool runs."""

    def __init__(
        self,
        is_multi_select: bool | None = None,
        allow_manual_entry: bool | None = None,
        enabled_by: str | None = None,
        enabled_by_value: Sequence[Any] | None = None,
        enabled_by_type: Sequence[Any] | None = None,
        dynamic_list: DynamicList | None = None,
        generated_by: GeneratedBy | None = None,
        **undefined: Any,
    ) -> None:
        self.is_multi_select = is_multi_select
        self.allow_manual_entry = allow_manual_entry
        self.enabled_by = enabled_by
        self.enabled_by_value = enabled_by_value
        self.enabled_by_type = enabled_by_type
        self.dynamic_list = dynamic_list
        self.generated_by = generated_by
        self._undefined_field = undefined


def _path_of(function: Callable[..., Any]) -> str:
    return f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', '')}"
