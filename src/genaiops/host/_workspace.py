"""A flow and its surroundings: working directory, import path, variables, connections, models, kept results."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genaiops.errors import ConnectionSettingsError, FlowDefinitionError, GenaiopsError, InputError

if TYPE_CHECKING:
    from genaiops.connections import ConnectionStore, Models, Redactor
    from genaiops.flows import Flow, Services

_CONNECTION_FIELD = re.compile(r"\$\{([^{}.]+)\.([^{}]+)\}")
_MODEL_NODES = frozenset({"llm", "custom_llm"})
_KEEPING_WORDS = re.compile(rb"\bcache\s*=\s*True\b")
_MODEL_WORDS = re.compile(rb"promptflow\.tools|[Pp]rompty|load_flow")
_MOST_FILES = 500


class Workspace:
    """What all plans of one host share.

    Args:
        hello: The first message: connections, how models are called, folders, import mode.
    """

    def __init__(self, hello: Mapping[str, Any]) -> None:
        self._hello = hello
        self._store: ConnectionStore | None = None
        self._models: Models | None = None
        self._expected = 0
        self._kept: Any = None
        self._is_set_up = False

    @property
    def redactor(self) -> Redactor | None:
        """Takes secrets out of what is written; None when there are none."""
        message = self._hello.get("connections") or {}
        if not message.get("connections") and not message.get("secrets"):
            return None
        return self.store.redactor()

    @property
    def store(self) -> ConnectionStore:
        """The connections."""
        if self._store is None:
            from genaiops.connections import ConnectionStore

            self._store = ConnectionStore.from_message(self._hello.get("connections") or {"connections": {}})
        return self._store

    @property
    def models(self) -> Models:
        """One client and one limiter for each endpoint and deployment, for all plans of this host."""
        if self._models is None:
            from genaiops.connections import Models
            from genaiops.tracing import remember_prices

            if self._hello.get("prices"):
                remember_prices(Path(self._hello["prices"]))
            recording = self._hello.get("recording")
            self._models = Models(
                mode=self._hello.get("model_calls", "live"),
                recording=Path(recording) if recording else None,
                redactor=self.store.redactor(),
                **{key: value for key, value in (self._hello.get("budgets") or {}).items() if value is not None},
            )
            self._models.expect(self._expected)
        return self._models

    def expect(self, rows: int) -> None:
        """A person asked for so many rows at once, over all plans: models begin with so many calls."""
        self._expected = rows
        if self._models is not None:
            self._models.expect(rows)

    @property
    def opened_models(self) -> Models | None:
        """The models, when something has asked for them."""
        return self._models

    def load(self, request: Mapping[str, Any]) -> Flow:
        """Load a flow and make its folder the place where this process works.

        Raises:
            GenaiopsError: The flow cannot be loaded, or a variable names a connection that is not there.
        """
        from genaiops.flows import load_flow

        merged = self._hello.get("merged")
        flow = load_flow(
            request["flow"],
            variant=request.get("variant"),
            overrides=request.get("overrides") or None,
            connections=request.get("connections") or None,
            merged_folders=Path(merged) if merged else None,
        )
        self._enter(flow, request.get("environment_variables") or {})
        return flow

    def prepare(self, *, will_call: bool) -> None:
        """Import what the flow of this host will need; nothing of the flow itself runs.

        Args:
            will_call: Models will be called, not only results looked up that are kept.
        """
        from genaiops.flows import load_flow

        try:
            needs_models = may_call_models(load_flow(self._hello["flow"]))
        except GenaiopsError:
            return  # whoever opens it is told
        if needs_models:
            for name in ("genaiops.kept", "jinja2"):
                import_module(name)
        if needs_models and will_call:
            from genaiops.connections import load_transport

            load_transport()

    def services(self, flow: Flow, request: Mapping[str, Any]) -> Services:
        """What the flow's nodes may use."""
        from genaiops.flows import Services

        uses_models = may_call_models(flow)
        images = request.get("images")
        return Services(
            connections=self.store,
            models=self.models if uses_models else None,
            kept=self._kept_results() if uses_models or _may_keep_results(flow) else None,
            images=Path(images) if images else None,
            image_folders=[Path(folder) for folder in request.get("image_folders") or ()],
            environ=os.environ,
        )

    async def close(self) -> None:
        """Write down what is kept, and let go of clients."""
        if self._kept is not None:
            self._kept.close()
        if self._models is not None:
            await self._models.aclose()

    def _enter(self, flow: Flow, overrides: Mapping[str, Any]) -> None:
        os.environ.update(self._variables(flow, overrides))
        os.chdir(flow.folder)
        folder = str(flow.folder)
        if sys.path[:1] != [folder]:
            sys.path.insert(0, folder)
        if not self._is_set_up:
            self._is_set_up = True
            from genaiops.compat import install_import_layer

            install_import_layer(self._hello.get("imports", "auto"))
            if _has_user_code(flow):
                from genaiops.compat import record_openai_calls

                record_openai_calls()
            self._offer_services(flow)

    def _offer_services(self, flow: Flow) -> None:
        """Prompts that user code calls reach the models of this host, not some of their own."""
        if flow.kind == "graph" and not may_call_models(flow):
            return
        from genaiops.prompts import PromptServices, set_default_services

        set_default_services(PromptServices(models=self.models, connections=self.store))

    def _variables(self, flow: Flow, overrides: Mapping[str, Any]) -> dict[str, str]:
        """The run's variables over the flow's own; both over those of the process."""
        # A server's surroundings win over the flow file (a deployment sets them on purpose), a run's do not.
        own = flow.environment_variables.items()
        fills_gaps = bool(self._hello.get("serve"))
        wanted = {
            name: (str(value), name in overrides) for name, value in own if not (fills_gaps and name in os.environ)
        }
        wanted |= {name: (_text(value), True) for name, value in overrides.items()}
        found: dict[str, str] = {}
        for name, (text, is_override) in wanted.items():
            try:
                found[name] = self._resolved(text, is_override)
            except ConnectionSettingsError as error:
                lines = flow.lines
                error.file = str(flow.path)
                error.line = lines.get(f"environment_variables.{name}") or lines.get("environment_variables")
                raise with_all_missing(error, flow, self.store) from error
        return found

    def _resolved(self, text: str, is_override: bool) -> str:
        """The field of a connection that `${connection.field}` names; other text as it is."""
        match = _CONNECTION_FIELD.fullmatch(text)
        if match is None:
            return text
        try:
            connection = self.store.get(match[1])
        except ConnectionSettingsError:
            if is_override:
                return text
            raise
        return str(connection[match[2]]) if match[2] in connection else text

    def _kept_results(self) -> Any:
        # A recording must hold every reply, so none may come from what is kept.
        folder = self._hello.get("kept") if self._hello.get("model_calls") != "record" else None
        if folder and self._kept is None:
            from genaiops.kept import KeptResults

            redactor = self.redactor
            holds_secret = redactor.holds_secret if redactor else lambda _: False
            self._kept = KeptResults(Path(folder), holds_secret=holds_secret)
        return self._kept


def may_call_models(flow: Flow) -> bool:
    """Whether a row may reach a model through us; a graph of plain Python that names none cannot."""
    if flow.kind != "graph":
        return True
    has_model_nodes = any(
        node.type in _MODEL_NODES or (node.source is not None and node.source.type != "code") for node in flow.nodes
    )
    return has_model_nodes or _code_names_models(flow.folder)


def _may_keep_results(flow: Flow) -> bool:
    """Whether a Python node asks for its results to be kept: in the flow's file, or in the code with `@tool`."""
    return any(node.cache for node in flow.nodes) or _code_says(flow.folder, _KEEPING_WORDS)


def _code_names_models(folder: Path) -> bool:
    """Whether Python files of a flow name what leads to models: prompt flow's tools, prompty files, other flows."""
    return _code_says(folder, _MODEL_WORDS)


def _code_says(folder: Path, words: re.Pattern[bytes]) -> bool:
    files = islice((path for path in folder.rglob("*.py") if ".venv" not in path.parts), _MOST_FILES)
    return any(words.search(path.read_bytes()) for path in files if path.is_file())


def _has_user_code(flow: Flow) -> bool:
    return flow.kind in ("function", "class") or any(node.type not in _MODEL_NODES for node in flow.nodes)


def with_all_missing(error: GenaiopsError, flow: Flow, store: ConnectionStore) -> GenaiopsError:
    """The error of a flow that cannot be opened; when connections lack values, with all that lack some.

    The engine stops at the first; whoever sets variables wants to do it once.
    """
    if not (isinstance(error, ConnectionSettingsError) or "Connection" in error.type) or not flow.path.is_file():
        return error
    from genaiops.flows import survey_flow

    missing = store.missing(survey_flow(flow.path, every_variant=False, chosen=flow.chosen).connections())
    if all(str(item) in error.message or repr(item.connection) in error.message for item in missing):
        return error
    error.message += "\nAll that is missing:" + "".join(f"\n  {item}" for item in missing) + "\n"
    return error


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, dict | list) else str(value)


def refusal(error: BaseException) -> dict[str, Any]:
    """The message for a flow that cannot be opened."""
    if not isinstance(error, GenaiopsError):
        wrapped = FlowDefinitionError(
            f"The flow cannot be opened: ({type(error).__name__}) {error}",
            kind="UnexpectedError",
            type=type(error).__name__,
        )
        wrapped.__cause__ = error
        error = wrapped
    exit_code = InputError.exit_code if isinstance(error, InputError) else error.exit_code
    return {"error": error.to_json(), "class": type(error).__name__, "exit_code": exit_code}
