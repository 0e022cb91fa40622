"""From a run that is asked for in prompt flow's words to its record."""

from __future__ import annotations

import inspect
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genaiops.compat._flow_function import FlowFunction, _named_connections
from genaiops.compat._run_file import flat_connections, read_environment_variables, read_init
from genaiops.compat._runs import LABEL, Run, label_of, relabel
from genaiops.errors import InputError

if TYPE_CHECKING:
    from genaiops.connections import ConnectionStore
    from genaiops.runs import OnEvent, RunEvent, RunRecord, RunSpec
    from genaiops.settings import Settings

_MOST_ARTIFACT_ROWS = 10_000
"""Above this a run gets no file for each row and node: their outcomes are in `outcomes.jsonl`."""


def submit_run(
    run: Run,
    settings: Settings,
    store: ConnectionStore,
    *,
    on_event: OnEvent | None = None,
    options: Mapping[str, Any] | None = None,
) -> RunRecord:
    """Run what is asked for, to its end.

    A mapping for an input that the flow lacks is a warning, and failed rows do not make the run fail unless all of
    them did: the caller decides by `status_of`.

    Args:
        run: What is asked for.
        settings: The surroundings.
        store: Connections.
        on_event: Told what happens.
        options: Fields of the spec that prompt flow has no words for: `model_calls`, `recording`, `limit`.

    Raises:
        InputError: Something is wrong with what is asked for; nothing was started.
    """
    from genaiops.runs import resume_run, run_batch

    listen = on_event or _ignore
    if run.resume_from is not None:
        record = resume_run(_copy_for_resume(run, settings), settings, store=store, on_event=listen)
    else:
        spec = replace(run_spec(run, settings, store), **(options or {}))
        record = run_batch(spec, settings, store=store, on_event=listen)
    return _export(record, settings)


def _ignore(event: RunEvent) -> None:
    """For callers that do not want to know."""


def run_spec(run: Run, settings: Settings, store: ConnectionStore) -> RunSpec:
    """The spec of a run; connection objects and keys in `init` are put into the store under a name.

    Raises:
        InputError: No flow, or files of `init` or variables that cannot be read.
    """
    from genaiops.runs import RunSpec

    if run.flow is None:
        raise InputError("A run needs a flow.", hint="Give --flow PATH.")
    flow, init = flow_and_init(run.flow, read_init(run.init), store)
    named, objects = _named_connections({"": flat_connections(run.connections)})
    for name, connection in objects.items():
        store.add(name, connection)
    label = {
        "display_name": display_name(run, flow),
        "description": run.description,
        "tags": dict(run.tags) if run.tags else None,
    }
    return RunSpec(
        flow=flow,
        data=run.data,
        mapping=dict(run.column_mapping or {}),
        source_run=_source(run.run),
        variant=run.variant,
        connections={key.removeprefix("."): value for key, value in named.items()},
        environment_variables=read_environment_variables(run.environment_variables),
        init=init,
        name=run.name,
        max_failed=1.0,
        strict_mapping=False,
        labels={LABEL: {key: value for key, value in label.items() if value}},
    )


def flow_and_init(
    flow: Any, init: Mapping[str, Any] | None, store: ConnectionStore
) -> tuple[Any, Mapping[str, Any] | None]:
    """What another process can load, for a flow that may be an object of this process.

    Args:
        flow: A path, `module:name`, a function, a class, an instance of a class, or what `load_flow` gave.
        init: Constructor arguments; those of an instance are read from it.
        store: Takes connections and keys that must not be written into the run's file.

    Raises:
        InputError: The constructor arguments of an instance cannot be known.
    """
    if isinstance(flow, FlowFunction):
        return flow.path, init
    if isinstance(flow, (str, Path)) or inspect.isroutine(flow):
        return flow, sealed_init(init, store)
    if inspect.isclass(flow):
        return flow, sealed_init(init, store)
    path = getattr(flow, "path", None)
    if isinstance(path, Path) and path.suffix == ".prompty":
        return path, init
    return type(flow), sealed_init({**_constructor_arguments(flow), **(init or {})}, store)


def _constructor_arguments(instance: Any) -> dict[str, Any]:
    """The arguments an object was made with, read from its attributes of the same names."""
    found: dict[str, Any] = {}
    for parameter in list(inspect.signature(type(instance)).parameters.values()):
        names = (parameter.name, f"_{parameter.name}")
        attribute = next((name for name in names if hasattr(instance, name)), None)
        if attribute is not None:
            found[parameter.name] = getattr(instance, attribute)
        elif parameter.default is parameter.empty and parameter.kind not in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        ):
            raise InputError(
                f"The flow is an object of class {type(instance).__name__}, and its constructor argument "
                f"{parameter.name!r} is not kept on it, so another process could not make it again.",
                hint="Give the class, and the arguments as init={…}.",
            )
    return found


def sealed_init(init: Mapping[str, Any] | None, store: ConnectionStore) -> dict[str, Any] | None:
    """Constructor arguments as JSON data; what holds a key becomes a connection in the store and its name.

    So that a key neither stands in the run's file nor travels with the rows.
    """
    if init is None:
        return None
    return {name: _sealed(name, value, store) for name, value in init.items()}


def _sealed(name: str, value: Any, store: ConnectionStore) -> Any:
    from genaiops.connections import Connection

    if isinstance(value, Connection):
        store.add(value.name or name, value)
        return value.name or name
    form = _model_configuration(value)
    if form is None or not form.get("api_key") or str(form["api_key"]).startswith("${"):
        return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
    from genaiops.connections import AzureOpenAIConnection, OpenAIConnection

    connection_name = f"init_{name}"
    if form["type"] == "azure_openai":
        version = {"api_version": form["api_version"]} if form.get("api_version") else {}
        address = str(form.get("azure_endpoint") or "")
        connection: Connection = AzureOpenAIConnection(address, form["api_key"], name=connection_name, **version)
        store.add(connection_name, connection)
        return {"azure_deployment": form.get("azure_deployment"), "connection": connection_name}
    connection = OpenAIConnection(form["api_key"], form.get("organization"), form.get("base_url"), name=connection_name)
    store.add(connection_name, connection)
    return {"model": form.get("model"), "connection": connection_name}


def _model_configuration(value: Any) -> dict[str, Any] | None:
    """A model configuration, object or mapping, as a mapping with `type`; None for anything else."""
    from genaiops.prompts import ModelConfiguration, configuration_fields

    if isinstance(value, ModelConfiguration):
        return configuration_fields(value)
    if isinstance(value, Mapping) and ("azure_deployment" in value or ("model" in value and "api_key" in value)):
        kind = "azure_openai" if "azure_deployment" in value else "openai"
        return {**value, "type": kind}
    return None


def _source(run: Any) -> str | Path | None:
    if isinstance(run, Run):
        return run.record.path if run.record else run.name
    return run if run is None else str(run)


def display_name(run: Run, flow: Any) -> str | None:
    """The display name with `${run}`, `${variant_id}` and `${timestamp}` filled in."""
    if not run.display_name:
        return None
    values = {
        "run": str(getattr(run.run, "name", run.run) or run.name or ""),
        "variant_id": re.sub(r"[${}]", "", run.variant or "").rpartition(".")[2] or "variant_0",
        "timestamp": datetime.now().astimezone().strftime("%Y%m%d%H%M"),
    }
    return re.sub(r"\$\{(\w+)\}", lambda match: values.get(match[1], match[0]), run.display_name)


def _copy_for_resume(run: Run, settings: Settings) -> RunRecord:
    """A new run that begins with what the old one completed.

    Raises:
        DataError: There is no such run.
        InputError: There is a run of the new name.
    """
    from genaiops.runs import RunRecord, find_run, make_run_id

    old = find_run(_source(run.resume_from) or "", settings)
    name = run.name or make_run_id(str(old.flow.get("name") or old.id), None, datetime.now().astimezone())
    folder = settings.state / "runs" / name
    if folder.exists():
        raise InputError(f"There is a run {name!r} already.", hint="Give another --name.", kind="RunExistsError")
    shutil.copytree(old.path, folder, ignore=shutil.ignore_patterns("lock", "promptflow"))
    form = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    form["id"], form["path"] = name, str(folder)
    form["spec"] = {**(form.get("spec") or {}), "name": name}
    (folder / "run.json").write_text(json.dumps(form), encoding="utf-8")
    own = {"display_name": run.display_name, "description": run.description, "tags": run.tags}
    changed = {key: value for key, value in own.items() if value}
    record = RunRecord.load(folder)
    return relabel(replace(record, labels={**record.labels, "resumed_from": old.id}), **changed)


def _export(record: RunRecord, settings: Settings) -> RunRecord:
    """Write the run in prompt flow's layout too, for the scripts that read it, and note where."""
    from genaiops.compat._configuration import Configuration
    from genaiops.compat._layout import export_promptflow_layout

    wished = Configuration(settings.state).get_config("run.output_path")
    source = str(record.flow.get("source") or "")
    folder = str(Path(source) if Path(source).is_dir() else Path(source).parent)
    place = Path(str(wished).replace("${flow_directory}", folder)) / record.id if wished else record.path / "promptflow"
    shutil.rmtree(place, ignore_errors=True)
    ran = record.rows.completed + record.rows.failed
    is_small = ran <= _MOST_ARTIFACT_ROWS
    export_promptflow_layout(record, place, artifacts=is_small, snapshot=is_small)
    return relabel(record, **{**label_of(record), "output_path": str(place)})
