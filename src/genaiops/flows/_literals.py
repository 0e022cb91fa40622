"""Literal inputs of a node, made ready once: empty ones dropped, converted, connections and images put in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genaiops.errors import ConnectionSettingsError, FlowDefinitionError
from genaiops.flows._conversion import convert_value
from genaiops.flows._model import InputDef, Node
from genaiops.flows._references import Reference
from genaiops.flows._sources import tool_error

if TYPE_CHECKING:
    from types import ModuleType

    from genaiops.connections import Connection, ConnectionStore

ImageReader = Callable[[Any, str], Any]


class LiteralPreparer:
    """Makes the literals of nodes ready.

    Args:
        connections: Where connections come from; None when there are none.
        read_image: Makes images of values that are, or hold, images; None when that is not wanted.
        folder: The flow's folder.
        file: The flow's file, for errors.
    """

    def __init__(
        self, connections: ConnectionStore | None, read_image: ImageReader | None, folder: Path, file: Path
    ) -> None:
        self._connections = connections
        self._read_image = read_image
        self._folder = folder
        self._file = file

    def prepare(
        self, node: Node, parameters: Mapping[str, InputDef], module: ModuleType | None = None
    ) -> dict[str, Any]:
        """The literals of a node by name, ready to be passed.

        Null and the empty text are left out, so that the function's own default applies.

        Raises:
            FlowDefinitionError: `ResolveToolError` around `NodeInputValidationError` or `GetConnectionError`.
        """
        ready: dict[str, Any] = {}
        for name, value in node.inputs.items():
            if isinstance(value, Reference) or value is None or value == "":
                continue
            declared = parameters.get(name)
            ready[name] = value if declared is None else self._one(node, name, value, declared, module)
        return ready

    def _one(self, node: Node, name: str, value: Any, declared: InputDef, module: ModuleType | None) -> Any:
        if declared.types:
            return self._connection(node, name, value, declared.types, module)
        if declared.type == "assistant_definition":
            return self._assistant(node, name, value)
        if declared.type != "image":
            try:
                value = convert_value(value, declared.type)
            except Exception as error:
                message = f"The input {name!r} should be of type {declared.type} and is {value!r}."
                raise self._invalid(node, name, message) from error
        if self._read_image is not None and (declared.type == "image" or isinstance(value, dict | list)):
            try:
                return self._read_image(value, declared.type)
            except FlowDefinitionError:
                raise
            except Exception as error:
                raise self._invalid(node, name, f"The input {name!r} is no image: {error}") from error
        return value

    def _connection(
        self, node: Node, name: str, value: Any, allowed: tuple[str, ...], module: ModuleType | None
    ) -> Any:
        if not isinstance(value, str):
            raise self._invalid(node, name, f"The input {name!r} takes the name of a connection, not {value!r}.")
        connection = self.connection(node, name, value)
        return fit_connection(
            connection, allowed, module, lambda message: self._invalid(node, name, f"The input {name!r}: {message}")
        )

    def connection(self, node: Node, name: str, value: str) -> Connection:
        """The connection called `value`.

        Raises:
            FlowDefinitionError: `ResolveToolError` around `GetConnectionError`.
        """
        line = node.lines.get(f"inputs.{name}", node.lines.get(name, node.line))
        if self._connections is None:
            raise tool_error(node, "GetConnectionError", f"No connection {value!r}.", file=self._file, line=line)
        try:
            return self._connections.get(value)
        except ConnectionSettingsError as error:
            raise tool_error(
                node, "GetConnectionError", error.message, file=self._file, line=line, hint=error.hint
            ) from error

    def _assistant(self, node: Node, name: str, value: Any) -> Any:
        from genaiops.flows._assistants import load_assistant

        try:
            return load_assistant(value, self._folder, self, node, name)
        except FlowDefinitionError as error:
            inner = error.message if error.kind == "ResolveToolError" else f"({error.kind}) {error.message}"
            raise self._invalid(
                node, name, f"The assistant definition in {name!r} cannot be loaded: {inner}"
            ) from error

    def _invalid(self, node: Node, name: str, message: str) -> FlowDefinitionError:
        return tool_error(
            node,
            "NodeInputValidationError",
            message,
            file=self._file,
            line=node.lines.get(f"inputs.{name}", node.line),
        )


def fit_connection(
    connection: Connection,
    allowed: tuple[str, ...],
    module: ModuleType | None,
    error: Callable[[str], Exception],
) -> Any:
    """A connection as one of the classes that a parameter is annotated with.

    A custom connection becomes the user's own class when the annotation names one; a simulated one fits anywhere.
    """
    names = {cls.__name__ for cls in type(connection).__mro__}
    if names & {*allowed, "SimulatedConnection"} or "Connection" in allowed:
        return connection
    to_strong_type = getattr(connection, "to_strong_type", None)
    if to_strong_type is not None:
        from genaiops.connections import CustomStrongTypeConnection

        # Beside the user's own class an annotation may allow classes of ours, which a custom connection cannot become.
        for name in allowed:
            cls = getattr(module, name, None)
            if isinstance(cls, type) and issubclass(cls, CustomStrongTypeConnection):
                return to_strong_type(cls)
    raise error(f"connection {connection.name!r} is a {type(connection).__name__}, expected {' or '.join(allowed)}.")
