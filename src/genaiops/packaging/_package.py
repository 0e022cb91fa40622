"""A package: a flow and its surroundings as one checkable artefact, described by its manifest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import genaiops
from genaiops.errors import InputError
from genaiops.flows import Flow, survey_flow
from genaiops.packaging._files import PackagedFile, collect_files, content_digest

SCHEMA_VERSION = 1
MANIFEST = "package.json"
FLOW_FOLDER = "flow"
SAMPLE_REQUEST = "sample-request.json"


@dataclass(frozen=True, kw_only=True)
class Package:
    """What is shipped.

    Args:
        name: Of the use case or the flow.
        flow: The flow's file below `flow/`.
        kind: `graph`, `function`, `class` or `prompty`.
        variant: The variant in force, by node.
        init: Constructor values of a class flow, as JSON.
        connections: Names of the connections that must be there where it runs.
        variables: Names of environment variables that it reads.
        required: Those that have no value here and must be set where it runs.
        defaults: Values of declared variables that are not secret.
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
    sample_request: Path | None = None,
    requirements: Sequence[str] = (),
) -> Package:
    """Collect what a package holds and compute its identity.

    Args:
        flow: The flow, its variant chosen and its includes merged.
        name: Of the use case.
        init: Constructor values; they must be JSON and hold no secret.
        variables: Declared variables with their values; empty values are names that must be set where it runs.
        sample_request: A request that the served flow must answer.
        requirements: `name==version` of what will be installed.

    Raises:
        InputError: `init` has no JSON form, or a file cannot be packaged.
    """
    files = collect_files(flow.folder, prefix=f"{FLOW_FOLDER}/")
    if sample_request is not None:
        content = sample_request.read_bytes()
        files.append(
            PackagedFile(SAMPLE_REQUEST, sample_request, 0o644, len(content), hashlib.sha256(content).hexdigest())
        )
    survey = survey_flow(flow.path, every_variant=False)
    values = dict(variables or {})
    try:
        choices = json.dumps(
            [flow.chosen, init, sorted(values.items()), sorted(requirements)], sort_keys=True, default=_refuse
        )
    except TypeError as error:
        raise InputError(f"The init values of {name!r} have no JSON form: {error}.") from error
    return Package(
        name=name,
        flow=_flow_file(flow),
        kind=flow.kind,
        digest=content_digest([*files, _choices_as_file(choices)]),
        variant=dict(flow.chosen),
        init=dict(init or {}),
        connections=tuple(survey.connections()),
        variables=tuple(sorted({*values, *flow.environment_variables, *survey.variables()})),
        required=tuple(sorted(key for key, value in values.items() if not value)),
        defaults={key: value for key, value in values.items() if value},
        requirements=tuple(requirements),
        files=tuple(sorted(files, key=lambda file: file.path)),
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
    return manifest


def is_package(path: Path) -> bool:
    """Whether a path is a package folder or its manifest."""
    return (path / MANIFEST).is_file() or (path.name == MANIFEST and path.is_file())


def _flow_file(flow: Flow) -> str:
    """The flow's file inside the package; `.` for a flow that has none."""
    file = flow.folder / flow.path.name
    return f"{FLOW_FOLDER}/{flow.path.name}" if file.is_file() else FLOW_FOLDER


def _choices_as_file(choices: str) -> PackagedFile:
    content = choices.encode("utf-8")
    return PackagedFile("\0choices", Path(), 0, len(content), hashlib.sha256(content).hexdigest())


def _refuse(value: Any) -> Any:
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON")
