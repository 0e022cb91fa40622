"""The Python object behind a flex flow: imported, and for a class instantiated with its `init`."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import ModuleType
from typing import Any

from genaiops.errors import ConnectionSettingsError, FlowDefinitionError, GenaiopsError, suggest
from genaiops.flows._conversion import convert_value
from genaiops.flows._failures import failure, hint_for_import, place_in_user_code
from genaiops.flows._flex import with_code_default
from genaiops.flows._head import chat_shape
from genaiops.flows._literals import fit_connection
from genaiops.flows._model import Flow, InputDef
from genaiops.flows._nodes import MODEL_CONFIGURATIONS
from genaiops.flows._outcome import Services
from genaiops.flows._signature import signature_of, unwrapped

_ENVIRONMENT = re.compile(r"^\$\{env:(.*?)\}")


def import_entry(flow: Flow) -> Any:
    """The object that `entry` names.

    Raises:
        FlowDefinitionError: `PythonLoadError` with the place in the user's file.
    """
    if flow.target is not None:
        return flow.target
    assert flow.entry is not None
    module_name, name = flow.entry.split(":")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        file, line = place_in_user_code(error, flow.folder / (module_name.replace(".", "/") + ".py"))
        raise FlowDefinitionError(
            f"Failed to load python module '{module_name}' of entry '{flow.entry}': ({type(error).__name__}) {error}",
            file=file,
            line=line,
            hint=hint_for_import(error, flow.folder),
            kind="PythonLoadError",
            type=type(error).__name__,
        ) from error
    entry = getattr(module, name, None)
    if entry is None:
        names = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise _load_error(flow, f"The module {module_name!r} has no {name!r}.", hint=suggest(name, names))
    if inspect.isclass(entry) and "__call__" not in {key for cls in entry.__mro__ for key in vars(cls)}:
        raise _load_error(flow, f"The class {name!r} has no __call__ method.")
    if not callable(entry):
        raise _load_error(flow, f"{name!r} is a {type(entry).__name__} and cannot be called.")
    return entry


def _load_error(flow: Flow, message: str, hint: str | None = None) -> FlowDefinitionError:
    return FlowDefinitionError(message, file=flow.path, line=flow.lines.get("entry"), hint=hint, kind="PythonLoadError")


def with_signature(flow: Flow, entry: Any) -> Flow:
    """The flow with the signature of the imported code, over which the flow's file has its say.

    Raises:
        FlowDefinitionError: `UserErrorException` when the file names other parameters than the code.
    """
    coded = signature_of(entry)
    inputs = _merged(flow, "inputs", flow.inputs, coded.inputs)
    init = _merged(flow, "init", flow.init, coded.init)
    outputs = {**coded.outputs, **flow.outputs}
    return replace(
        flow,
        kind="class" if coded.kind == "class" else "function",
        inputs=inputs,
        init=init,
        outputs=outputs,
        chat=chat_shape(inputs, outputs),
        loose_signature=False,
    )


def _merged(
    flow: Flow, section: str, written: Mapping[str, InputDef], coded: Mapping[str, InputDef]
) -> dict[str, InputDef]:
    if not written:
        return dict(coded)
    if set(written) != set(coded):
        if flow.kind == "function" and section == "init" and not coded:
            return {}
        raise FlowDefinitionError(
            f"The section {section} names {', '.join(written)}; the entry takes {', '.join(coded) or 'nothing'}.",
            file=flow.path,
            line=flow.lines.get(section),
            kind="UserErrorException",
        )
    return {name: with_code_default(written[name], coded[name]) for name in coded}


# Class entries


class EntryFactory:
    """Makes instances of a class entry, all with the same arguments.

    Raises:
        FlowDefinitionError: `FlowEntryInitializationError` when an argument is missing, unknown or not convertible.
    """

    def __init__(self, flow: Flow, entry: type, services: Services, init: Mapping[str, Any] | None) -> None:
        self._flow = flow
        self._entry = entry
        self._services = services
        self._module = importlib.import_module(entry.__module__)
        given = dict(init) if init else dict(flow.sample.get("init") or {})
        unknown = sorted(set(given) - set(flow.init))
        if unknown and not _takes_any(entry):
            raise self._error(f"it takes no {', '.join(unknown)}.", hint=suggest(unknown[0], flow.init))
        missing = [name for name, item in flow.init.items() if name not in given and not item.has_default]
        if missing:
            raise self._error(f"no value for {', '.join(missing)}.", hint="Give it with --init, or as sample.init.")
        for name, item in flow.init.items():
            if name not in given and item.default not in (None, ""):
                given[name] = item.default
        self.arguments = {name: self._resolved(name, value) for name, value in given.items()}

    def make(self) -> Any:
        """A new instance.

        Raises:
            FlowDefinitionError: `FlowEntryInitializationError` around whatever the constructor raises.
        """
        try:
            return self._entry(**self.arguments)
        except Exception as error:
            form = failure(error, name=self._entry.__name__, folder=self._flow.folder)
            # The arguments may hold secrets: only their names are shown.
            names = ", ".join(self.arguments) or "no arguments"
            raise FlowDefinitionError(
                f"Failed to initialize flow entry with {names}: ({type(error).__name__}) {error}",
                file=form["file"] or self._flow.path,
                line=form["line"],
                kind="FlowEntryInitializationError",
                type=type(error).__name__,
            ) from error

    def _resolved(self, name: str, value: Any) -> Any:
        try:
            return self._argument(name, value, self._flow.init.get(name))
        except GenaiopsError:
            raise
        except Exception as error:
            raise self._error(f"{name}: ({type(error).__name__}) {error}") from error

    def _argument(self, name: str, value: Any, declared: InputDef | None) -> Any:
        if declared is None or (value is None and declared.is_optional):
            return value
        if declared.types and isinstance(value, str):
            return self._connection(name, value, declared.types)
        if declared.type in MODEL_CONFIGURATIONS:
            return self._model_configuration(name, value, declared.type)
        try:
            return convert_value(value, declared.type)
        except Exception as error:
            raise self._error(f"{name} should be of type {declared.type} and is {value!r}.") from error

    def _connection(self, name: str, value: str, allowed: tuple[str, ...]) -> Any:
        if self._services.connections is None:
            raise self._error(f"{name} names the connection {value!r}, and there are none.")
        connection = self._services.connections.get(value)
        return fit_connection(connection, allowed, self._module, lambda message: self._error(f"{name}: {message}"))

    def _model_configuration(self, name: str, value: Any, type_name: str) -> Any:
        """A model configuration from a dict; the class is the one that the entry is annotated with."""
        cls = _annotated_class(self._entry, name, self._module)
        if isinstance(value, Mapping):
            fields = {key: self._from_environment(item) for key, item in value.items() if key != "type"}
            if cls is None:
                return fields
            try:
                value = cls(**fields)
            except TypeError as error:
                raise self._error(f"{name}: {error}", kind="InvalidModelConfigValueType") from error
        elif cls is None or not isinstance(value, cls):
            message = f"{name} should be a {type_name} or a mapping, not a {type(value).__name__}."
            raise self._error(message, kind="InvalidModelConfigValueType")
        return self._with_connection(value)

    def _with_connection(self, configuration: Any) -> Any:
        connection = getattr(configuration, "connection", None)
        if not connection:
            return configuration
        if isinstance(connection, str):
            if self._services.connections is None:
                raise ConnectionSettingsError(f"There is no connection {connection!r}.", kind="ConnectionNotFoundError")
            connection = self._services.connections.get(connection)
        model = "azure_deployment" if hasattr(configuration, "azure_deployment") else "model"
        return type(configuration).from_connection(connection=connection, **{model: getattr(configuration, model)})

    def _from_environment(self, value: Any) -> Any:
        match = _ENVIRONMENT.match(value) if isinstance(value, str) else None
        return value if match is None else self._services.environ.get(match[1], value)

    def _error(
        self, message: str, *, hint: str | None = None, kind: str = "FlowEntryInitializationError"
    ) -> FlowDefinitionError:
        return FlowDefinitionError(
            f"Failed to initialize flow entry {self._entry.__name__!r}: {message}",
            file=self._flow.path,
            line=self._flow.lines.get("init", self._flow.lines.get("entry")),
            hint=hint,
            kind=kind,
        )


def _takes_any(entry: Any) -> bool:
    try:
        parameters = inspect.signature(entry).parameters.values()
    except (TypeError, ValueError):
        return True
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)


def _annotated_class(entry: type, name: str, module: ModuleType) -> Any:
    parameter = inspect.signature(entry).parameters.get(name)
    annotation = parameter.annotation if parameter is not None else None
    if isinstance(annotation, str):
        annotation = getattr(module, annotation.split(".")[-1].strip("'\""), None)
    if inspect.isclass(annotation):
        return annotation
    arguments = [item for item in getattr(annotation, "__args__", ()) if inspect.isclass(item)]
    return next((item for item in arguments if item is not type(None)), None)


def code_defaults(call: Callable[..., Any]) -> frozenset[str]:
    """The parameters for which the code has a default."""
    parameters = inspect.signature(unwrapped(call)).parameters.values()
    return frozenset(p.name for p in parameters if p.default is not p.empty)
