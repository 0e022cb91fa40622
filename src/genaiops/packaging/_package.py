"""A package: a flow and its surroundings as one checkable artefact, described by its manifest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, NamedTuple

import genaiops
from genaiops.errors import InputError
from genaiops.flows import Flow, FlowSurvey, outside_files, survey_flow
from genaiops.packaging._files import PackagedFile, collect_files, content_digest
from genaiops.packaging._surroundings import (
    connections_in,
    fill_init,
    fill_variables,
    names_left_open,
    open_init,
    open_variables,
)
from genaiops.records import record

SCHEMA_VERSION = 1
MANIFEST = "package.json"
FLOW_FOLDER = "flow"
SAMPLE_REQUEST = "sample-request.json"
_READ_WHERE_IT_RUNS = ("flow", "variant", "init", "defaults", "required")


@record(frozen=True, kw_only=True)
class Package:
    """What is shipped.

    Args:
        name: Of the use case or the flow.
        flow: The flow's file below `flow/`.
        kind: `graph`, `function`, `class` or `prompty`.
        variant: The variant in force, by node.
        init: Constructor values of a class flow, as JSON; `${NAME}` where the value is set where it runs.
        connections: Names of the connections that must be there where it runs.
        connection_variables: For each of them, the variables that make it as the use case declares it.
        variables: Names of environment variables that it reads.
        required: Those that have no value here and must be set where it runs.
        defaults: Values of declared variables that are not secret; `${NAME}` as in `init`.
        requirements: `name==version` of every installed package.
        files: Everything in it.
        digest: Its identity: over paths, modes and bytes, and over the choices above.
    """

    name: str
    flow: str
    kind: str
    digest: str
    variant: Mapping[str, str] = field(default_factory=dict)
    init: Mapping[str, Any] = field(default_factory=dict)
    connections: tuple[str, ...] = ()
    connection_variables: Mapping[str, Sequence[str]] = field(default_factory=dict)
    variables: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    defaults: Mapping[str, str] = field(default_factory=dict)
    requirements: tuple[str, ...] = ()
    files: tuple[PackagedFile, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The manifest."""
        return {
            "schema_version": SCHEMA_VERSION,
            "name": self.name,
            "digest": self.digest,
            "genaiops": genaiops.__version__,
            "flow": self.flow,
            "kind": self.kind,
            "variant": dict(self.variant),
            "init": dict(self.init),
            "connections": list(self.connections),
            "connection_variables": {name: list(items) for name, items in self.connection_variables.items()},
            "variables": list(self.variables),
            "required": list(self.required),
            "defaults": dict(self.defaults),
            "requirements": list(self.requirements),
            "files": [file.to_json() for file in self.files],
        }


def describe_package(
    flow: Flow,
    *,
    name: str,
    init: Mapping[str, Any] | None = None,
    variables: Mapping[str, str] | None = None,
    connection_variables: Mapping[str, Sequence[str]] | None = None,
    sample_request: Path | None = None,
    requirements: Sequence[str] = (),
) -> Package:
    """Collect what a package holds and compute its identity.

    Args:
        flow: The flow, its variant chosen and its includes merged.
        name: Of the use case.
        init: Constructor values; they must be JSON. Secrets among them come along as `${NAME}`.
        variables: Declared variables with their values; secrets come along as names that must be set where it runs.
        connection_variables: Connection to the names of the variables that make it.
        sample_request: A request that the served flow must answer.
        requirements: `name==version` of what will be installed.

    Raises:
        InputError: `init` has no JSON form, a file cannot be packaged, or one is needed from outside the flow's folder.
    """
    files = collect_files(flow.folder, prefix=f"{FLOW_FOLDER}/")
    if sample_request is not None:
        content = sample_request.read_bytes()
        files.append(
            PackagedFile(SAMPLE_REQUEST, sample_request, 0o644, len(content), hashlib.sha256(content).hexdigest())
        )
    survey = survey_flow(flow.path, every_variant=False, chosen=flow.chosen)
    _refuse_what_stays_behind(survey)
    init = open_init(init or {})
    values = open_variables(variables or {})
    required = names_left_open(init, values)
    try:
        choices = json.dumps(
            [flow.chosen, init, sorted(values.items()), sorted(requirements)], sort_keys=True, default=_refuse
        )
    except TypeError as error:
        raise InputError(f"The init values of {name!r} have no JSON form: {error}.") from error
    connections = sorted({*survey.connections(), *connections_in(init)})
    return Package(
        name=name,
        flow=_flow_file(flow),
        kind=flow.kind,
        digest=content_digest([*files, _choices_as_file(choices)]),
        variant=dict(flow.chosen),
        init=init,
        connections=tuple(connections),
        connection_variables={key: tuple((connection_variables or {}).get(key, ())) for key in connections},
        variables=tuple(sorted({*values, *required, *flow.environment_variables, *survey.variables()})),
        required=tuple(required),
        defaults={key: value for key, value in values.items() if value},
        requirements=tuple(requirements),
        files=tuple(sorted(files, key=lambda file: file.path)),
    )


def _refuse_what_stays_behind(survey: FlowSurvey) -> None:
    places = [
        f"{found.file}:{found.line} names {found.written!r}" for found in outside_files(survey) if found.is_needed
    ]
    if places:
        raise InputError(
            f"The flow needs files from outside of its folder, which its package would not hold: {'; '.join(places)}.",
            hint="Move them into the flow's folder.",
            kind="FileOutside",
        )


def read_package(folder: Path) -> dict[str, Any]:
    """The manifest of a package folder.

    Raises:
        InputError: There is none, or it was written by a newer version.
    """
    file = folder if folder.name == MANIFEST else folder / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{folder} is no package: {error}.", hint="Make one with: genaiops build USE_CASE") from error
    if manifest.get("schema_version") != SCHEMA_VERSION:
        raise InputError(
            f"{file} has schema version {manifest.get('schema_version')}; this version reads {SCHEMA_VERSION}."
        )
    missing = [name for name in _READ_WHERE_IT_RUNS if name not in manifest]
    if missing:
        raise InputError(
            f"{file} is no whole manifest: it lacks {', '.join(missing)}.",
            hint="Make one with: genaiops build USE_CASE",
        )
    return manifest


class OpenedPackage(NamedTuple):
    """A package where it runs: nothing in it is left open.

    Args:
        flow: The flow's file or folder.
        variant: The variant in force, by node.
        init: Constructor values.
        variables: Declared variables that are not set otherwise.
        missing: Variables that must be set and are not.
    """

    flow: Path
    variant: dict[str, str]
    init: dict[str, Any]
    variables: dict[str, str]
    missing: tuple[str, ...]


def open_package(path: Path, environ: Mapping[str, str], *, init: Mapping[str, Any] | None = None) -> OpenedPackage:
    """Read a package and give its open values what the surroundings say.

    Args:
        path: The folder of a package, or its manifest.
        environ: The surroundings.
        init: Constructor values to use in place of the package's.

    Raises:
        InputError: It is no package.
    """
    folder = path.parent if path.is_file() else path
    manifest = read_package(folder)
    values, variables, missing = fill_open_values(manifest, environ, init=init)
    return OpenedPackage(folder / manifest["flow"], manifest["variant"], values, variables, tuple(missing))


def fill_open_values(
    manifest: Mapping[str, Any], environ: Mapping[str, str], *, init: Mapping[str, Any] | None = None
) -> tuple[dict[str, Any], dict[str, str], list[str]]:
    """Init values and declared variables of a package in these surroundings, and the variables that are not set."""
    filled = fill_init(manifest["init"] if init is None else init, environ)
    variables = fill_variables(manifest["defaults"], environ)
    # A variable that a placeholder names is asked for by the placeholder, which may know a second name for it.
    asked = {*names_left_open(manifest["init"], {}), *names_left_open({}, manifest["defaults"])}
    declared = [name for name in manifest["required"] if name not in asked and not environ.get(name)]
    return filled.values, variables.values, list(dict.fromkeys([*filled.missing, *variables.missing, *declared]))


def is_package(path: Path) -> bool:
    """Whether a path is a package folder or its manifest; `package.json` of other tools is none."""
    file = path if path.name == MANIFEST else path / MANIFEST
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(manifest, dict) and {"schema_version", "digest", "flow"} <= manifest.keys()


def _flow_file(flow: Flow) -> str:
    """The flow's file inside the package; `.` for a flow that has none."""
    file = flow.folder / flow.path.name
    return f"{FLOW_FOLDER}/{flow.path.name}" if file.is_file() else FLOW_FOLDER


def _choices_as_file(choices: str) -> PackagedFile:
    content = choices.encode("utf-8")
    return PackagedFile("\0choices", Path(), 0, len(content), hashlib.sha256(content).hexdigest())


def _refuse(value: Any) -> Any:
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON")
