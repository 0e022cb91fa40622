"""`genaiops check`: every mistake that can be known without calling a model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genaiops.cli._output import echo_json, say, table
from genaiops.cli._session import open_settings
from genaiops.cli._surroundings import USE_CASE_FILES, flow_home, nearby_folders, open_store, use_case_facts

if TYPE_CHECKING:
    from genaiops.connections import ConnectionStore
    from genaiops.errors import GenaiopsError
    from genaiops.flows import Finding, KnownConnections, MissingField
    from genaiops.settings import Settings

WRONG_INPUT = 2
_SHOWN_HINT = "  hint: "
_FLOW_FILES = ("flow.dag.yaml", "flow.dag.yml", "flow.flex.yaml", "flow.flex.yml")


@click.command()
@click.argument("path", default=".", type=click.Path(path_type=Path))
@click.option("--env", help="Check a use case as it is in this environment.")
@click.option("--file", help="Another experiment file than experiment.yaml.")
@click.option("--connections/--no-connections", default=True, help="Look whether connections are set up.")
@click.option("--explain", is_flag=True, help="Show each value in force and where it came from.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def check(
    context: click.Context,
    path: Path,
    env: str | None,
    file: str | None,
    connections: bool,
    explain: bool,
    as_json: bool,
) -> None:
    """Find mistakes in a flow, a use case or a folder of them, without calling a model.

    References, templates, tool files, mappings against real columns, variants, connections, variables, secrets typed
    into files: each with its file and line, what was expected, and the nearest valid name. Exit code 2 when there is a
    mistake.

    \b
    Example:
      genaiops check web_classification
    """
    settings = open_settings(folders=nearby_folders(flow_home(path)))
    findings, values = check_path(path, settings, env=env, file=file, with_connections=connections)
    if as_json:
        form: dict[str, Any] = {"schema_version": 1, "findings": [finding.to_json() for finding in findings]}
        echo_json(form | ({"settings": values} if explain else {}))
    else:
        echo_findings(findings)
        if explain:
            _echo_values(values)
    if any(finding.severity == "error" for finding in findings):
        context.exit(WRONG_INPUT)


def check_path(
    path: Path,
    settings: Settings,
    *,
    env: str | None = None,
    file: str | None = None,
    with_connections: bool = True,
) -> tuple[list[Finding], list[dict[str, Any]]]:
    """Findings below a path, and the values in force there."""
    from genaiops.audits import find_flows

    findings: list[Finding] = []
    values: list[dict[str, Any]] = []
    use_cases = list(_use_cases(path, file))
    for folder in use_cases:
        found, explained = _check_use_case(folder, settings, env=env, file=file)
        findings += found
        values += open_store(settings, folder).redactor().json(explained)
    flows: list[str | Path] = [path]
    if path in use_cases:
        flows = _as_named(find_flows(path.parent if path.is_file() else path))
    elif path.is_dir() and not _is_flow(path):
        flows = _as_named(find_flows(path))
        if not flows and not use_cases:
            from genaiops.errors import InputError

            raise InputError(
                f"The folder {str(path)!r} holds neither a flow nor a use case.",
                hint="A flow is a flow.dag.yaml, a flow.flex.yaml or a .prompty; a use case has an experiment.yaml.",
            )
    for flow in flows:
        findings += check_one_flow(flow, settings, with_connections=with_connections)
        if with_connections:
            said = {(value["key"], str(value["value"])) for value in values}
            more = _connection_values(flow, settings)
            values += [value for value in more if (value["key"], str(value["value"])) not in said]
    return _once(findings), values


def check_one_flow(
    flow: str | Path,
    settings: Settings,
    *,
    with_connections: bool = True,
    chosen: dict[str, str] | None = None,
    replaced: dict[str, str] | None = None,
) -> list[Finding]:
    """Findings of one flow, its connections and variables as they are set here."""
    from genaiops.flows import check_flow

    store = _store_to_check(settings, flow_home(flow)) if with_connections else None
    environ = settings.environ if with_connections else None
    return check_flow(flow, connections=store, environ=environ, chosen=chosen, replaced=replaced)


def _store_to_check(settings: Settings, home: Path | None) -> KnownConnections:
    """The connections of a flow; where its use case answers from a recording, no value has to be set."""
    facts = use_case_facts(home)
    store = open_store(settings, home)
    return _Replayed(store.for_replay(facts.recording)) if facts.model_calls == "replay" else store


class _Replayed:
    """Connections that nobody calls: they have to be known, and that is all."""

    def __init__(self, store: ConnectionStore) -> None:
        self._store = store

    def names(self) -> list[str]:
        return self._store.names()

    def __contains__(self, name: object) -> bool:
        return name in self._store

    def missing(self, names: Iterable[str]) -> list[MissingField]:
        return []

    def check(self, name: str) -> list[str]:
        return []

    def describe(self, name: str) -> dict[str, Any]:
        return self._store.describe(name)


def check_data(flow: str, data: Path, mapping: dict[str, str]) -> list[Finding]:
    """Findings of a mapping against the columns of a dataset and the inputs of a flow that loads."""
    from genaiops.datasets import columns
    from genaiops.errors import GenaiopsError
    from genaiops.flows import check_mapping, load_flow

    try:
        inputs = load_flow(flow).inputs
        names = columns(data).names
    except GenaiopsError as error:
        return [_finding(error)]
    return check_mapping(mapping, inputs, file=data, columns=names)


def echo_findings(findings: list[Finding]) -> None:
    """Findings for a person, and their number."""
    for finding in findings:
        click.echo(f"{_place(finding)}{finding.severity}: {finding.message} [{finding.code}]")
        if finding.hint:
            click.echo(f"{_SHOWN_HINT}{finding.hint}")
    mistakes = sum(finding.severity == "error" for finding in findings)
    doubts = len(findings) - mistakes
    if findings:
        click.echo(f"{mistakes} mistake{'s' * (mistakes != 1)}, {doubts} doubt{'s' * (doubts != 1)}")
    else:
        click.echo("no mistakes found")


def echo_other_mistakes(source: str, told: GenaiopsError, settings: Settings) -> None:
    """A flow that cannot be opened may have more mistakes than the first: name them all."""
    from genaiops.errors import ConnectionSettingsError, FlowDefinitionError

    if not isinstance(told, FlowDefinitionError | ConnectionSettingsError):
        return
    for finding in check_one_flow(source, settings):
        if finding.severity == "error" and not _says(told, finding):
            hint = f" {finding.hint}" if finding.hint else ""
            click.echo(f"  also: {_place(finding)}{finding.message}{hint}", err=True)


def _says(told: GenaiopsError, finding: Finding) -> bool:
    """Whether an error is the one that a finding tells, or lists what it tells."""
    if told.file is None or finding.file is None or Path(told.file).name != Path(finding.file).name:
        return finding.code in (told.kind, told.type)
    if finding.code == "missing-variable" and "All that is missing" in told.message:
        return True
    return finding.line == told.line or (told.line is None and finding.code in (told.kind, told.type))


def _place(finding: Finding) -> str:
    return f"{finding.file}:{finding.line}: " if finding.line else f"{finding.file}: " if finding.file else ""


def _as_named(files: list[Path]) -> list[str | Path]:
    """Flow files; for a folder with several of them the folder, which is what somebody would name."""
    standard = [file.parent for file in files if file.name in _FLOW_FILES]
    crowded = {folder for folder in standard if standard.count(folder) > 1}
    return list(dict.fromkeys(f.parent if f.parent in crowded and f.name in _FLOW_FILES else f for f in files))


def _is_flow(folder: Path) -> bool:
    return any((folder / name).is_file() for name in _FLOW_FILES)


def _use_cases(path: Path, file: str | None) -> Iterator[Path]:
    from genaiops.audits import find_use_cases

    if path.is_file():
        if path.name in USE_CASE_FILES or path.stem.startswith("experiment"):
            yield path
        return
    if file is not None and (path / file).is_file():
        yield path
        return
    if path.is_dir():
        yield from (found.parent for found in find_use_cases(path))


def _check_use_case(
    folder: Path, settings: Settings, *, env: str | None, file: str | None
) -> tuple[list[Finding], list[dict[str, Any]]]:
    """Findings of a use case, its gate and its alert, and its values."""
    from genaiops.cli._alerting import alert_of
    from genaiops.cli._judging import policy_of
    from genaiops.errors import GenaiopsError
    from genaiops.experiments import check_use_case

    found = check_use_case(folder, settings, env=env, file=file)
    findings = list(found.findings)
    for read in (policy_of, partial(alert_of, environ=settings.environ, send=True)):
        try:
            if found.spec is not None:
                read(found.spec)
        except GenaiopsError as error:
            findings.append(_finding(error))
    return findings, [setting.to_json() for setting in found.settings]


def _finding(error: GenaiopsError) -> Finding:
    """What was raised, as a finding."""
    from genaiops.flows import Finding

    return Finding(
        severity="error", code=error.kind, message=error.message, file=error.file, line=error.line, hint=error.hint
    )


def _connection_values(flow: str | Path, settings: Settings) -> list[dict[str, Any]]:
    """Each field of the connections a flow names, and where it came from."""
    from genaiops.errors import GenaiopsError
    from genaiops.flows import survey_flow

    path = Path(flow)
    if path.is_dir():
        path = next((path / name for name in _FLOW_FILES if (path / name).is_file()), path)
    if not path.is_file():
        return []
    store = open_store(settings, flow_home(flow))
    found: list[dict[str, Any]] = []
    for name in survey_flow(path).connections():
        try:
            described = store.describe(name)
        except GenaiopsError:
            continue
        fields: dict[str, Any] = described.get("fields", {})
        found += [
            {"key": f"connections.{name}.{key}", "value": field["value"], "source": field["source"], "where": ""}
            for key, field in fields.items()
        ]
    return found


def _echo_values(values: list[dict[str, Any]]) -> None:
    if not values:
        say("note", "no values to explain", color="blue")
        return
    rows = [
        (
            str(value.get("key")),
            _shown(value.get("value")),
            str(value.get("source") or ""),
            str(value.get("where") or ""),
        )
        for value in values
    ]
    table(("setting", "value", "from", "where"), rows)


def _shown(value: object) -> str:
    from genaiops.cli._output import one_line

    return one_line(value, 60)


def _once(findings: list[Finding]) -> list[Finding]:
    """Each finding once, mistakes first, otherwise in the order found."""
    here = Path.cwd()
    told = (replace(finding, file=_relative(finding.file, here)) for finding in findings)
    return sorted(dict.fromkeys(told), key=lambda finding: finding.severity != "error")


def _relative(file: str | None, here: Path) -> str | None:
    """A file below the current folder as a person there would name it."""
    path = Path(file) if file else None
    return str(path.relative_to(here)) if path and path.is_absolute() and path.is_relative_to(here) else file
