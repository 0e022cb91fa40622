"""Everything about a flow that can be known without running its code or calling a model, all at once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from genaiops.errors import FlowDefinitionError, GenaiopsError, suggest
from genaiops.flows._check_entry import check_entry
from genaiops.flows._check_graph import check_graph, mapping
from genaiops.flows._check_imports import check_imports
from genaiops.flows._check_nodes import ConnectionUse, check_nodes
from genaiops.flows._check_outside import check_outside_files
from genaiops.flows._check_packages import check_package_tools
from genaiops.flows._check_prompty import check_prompty
from genaiops.flows._check_report import FlowFiles, Report
from genaiops.flows._check_secrets import find_secrets
from genaiops.flows._check_survey import FlowSurvey
from genaiops.flows._includes import hint_for_include
from genaiops.flows._load import examine_flow
from genaiops.flows._locate import FLOW_FILES, locate_flow
from genaiops.flows._model import Finding
from genaiops.flows._yaml import YamlDocument, load_yaml, parse_yaml

_ENVIRONMENT = re.compile(r"\$\{env:([A-Za-z_]\w*)")
# Connection classes that are no class of the user's own.
_OWN_CONNECTIONS = (
    "AzureOpenAIConnection", "OpenAIConnection", "ServerlessConnection", "CognitiveSearchConnection", "SerpConnection",
    "AzureContentSafetyConnection", "FormRecognizerConnection", "AzureAIServicesConnection", "QdrantConnection",
    "WeaviateConnection",
)  # fmt: skip
_CONNECTION_FIELD = re.compile(r"\$\{([^{}.]+)\.([^{}]+)\}")


class MissingField(Protocol):
    """A value that a connection needs and nobody set."""

    @property
    def field(self) -> str:
        """The field of the connection; empty when nobody knows the connection."""
        ...

    @property
    def variables(self) -> tuple[str, ...]:
        """The variables that would set it, the usual one first."""
        ...


class KnownConnections(Protocol):
    """What a check asks of a store of connections; `connections.ConnectionStore` is one."""

    def names(self) -> list[str]:
        """The names of all connections."""
        ...

    def __contains__(self, name: object) -> bool:
        """Whether anything is known of a connection."""
        ...

    def missing(self, names: Iterable[str]) -> Sequence[MissingField]:
        """What these connections need and nobody set."""
        ...

    def check(self, name: str) -> list[str]:
        """What is wrong with a connection, without a secret."""
        ...

    def describe(self, name: str) -> Mapping[str, Any]:
        """Its `type` and more, without a secret."""
        ...


def check_flow(
    source: str | Path,
    *,
    connections: KnownConnections | None = None,
    environ: Mapping[str, str] | None = None,
    chosen: Mapping[str, str] | None = None,
    replaced: Mapping[str, str] | None = None,
    every_variant: bool = True,
) -> list[Finding]:
    """Check one flow and return every finding, mistakes first.

    Args:
        source: A folder, or the file of a flow.
        connections: The connections there are; without them nothing is said about connections.
        environ: The variables there are; without them nothing is said about variables.
        chosen: Variants chosen on the command line, by node.
        replaced: Connections put in place on the command line, by node.
        every_variant: Check variants that nobody chose as well.

    Example:
        >>> check_flow("no/such/flow")[0].code
        'UserErrorException'
    """
    report = Report()
    path = _find_file(source, report)
    if path is None:
        return report.sorted()
    survey = _survey_file(path, report, chosen=chosen, every_variant=every_variant)
    _check_typed_secrets([path] if survey.kind == "prompty" else _own_files(path), report)
    if survey.document is not None:
        if connections is not None:
            _check_connections(survey.uses, connections, replaced or {}, report)
        if environ is not None:
            _check_variables(survey.document, environ, report)
    check_imports(survey, report)
    check_package_tools(survey, report)
    check_outside_files(survey, report)
    if not report.has_errors:
        _check_by_loading(path, chosen, report)
    if replaced:
        report.findings = [f for f in report.findings if f.code != "no-connection" or f.node not in replaced]
    return report.sorted()


def survey_flow(path: Path, *, every_variant: bool = True, chosen: Mapping[str, str] | None = None) -> FlowSurvey:
    """What one flow file is made of, and what its files say about themselves.

    Unlike `check_flow` it looks neither at connections and variables nor for secrets.

    Args:
        path: The flow's file.
        every_variant: Look at variants that are not in force as well.
        chosen: The variants in force, by node; the flow's defaults for the others.
    """
    report = Report()
    survey = _survey_file(path, report, every_variant=every_variant, chosen=chosen)
    if not report.has_errors:
        _check_by_loading(path, None, report)
    return replace(survey, findings=tuple(report.sorted()))


def _survey_file(
    path: Path, report: Report, *, chosen: Mapping[str, str] | None = None, every_variant: bool = True
) -> FlowSurvey:
    """Check a flow's files against each other."""
    if path.suffix.lower() == ".prompty":
        document, uses = check_prompty(path, report)
        return FlowSurvey(path, "prompty", document, FlowFiles(path.parent), tuple(uses))
    document = _read(path, report)
    if document is None:
        return FlowSurvey(path, "graph", None, FlowFiles(path.parent))
    if not isinstance(document.data, Mapping):
        report.error("FlowDefinitionError", "A flow file has to be a mapping.", file=path, line=1)
        return FlowSurvey(path, "graph", None, FlowFiles(path.parent))
    files = _flow_files(document, report)
    _check_environment(document, files, report)
    if "entry" in document.data:
        kind = check_entry(document, files, report)
        return FlowSurvey(path, kind, document, files, tuple(_entry_connections(document)))
    bodies = check_graph(document, report, chosen=chosen, every_variant=every_variant)
    uses = [*check_nodes(bodies, document, files, report), *_variable_connections(document)]
    return FlowSurvey(path, "graph", document, files, tuple(uses), tuple(bodies))


def _entry_connections(document: YamlDocument) -> Iterator[ConnectionUse]:
    """Connections that a flex flow names in the values of its constructor, and in its variables."""
    yield from _variable_connections(document)
    sample = mapping(mapping(mapping(document.data).get("sample")).get("init"))
    for key, value in sample.items():
        name = value if "connection" in str(key).lower() else mapping(value).get("connection")
        if isinstance(name, str) and name and not name.startswith("${"):
            yield ConnectionUse(name, document.path, document.line("sample", "init", key), None)


def _find_file(source: str | Path, report: Report) -> Path | None:
    """The file of a flow, as the user names it; several in one folder are a mistake, and the first is checked."""
    path = Path(source)
    try:
        found = locate_flow(source).path
    except FlowDefinitionError as error:
        report.raised(error, file=path)
        several = [path / name for name in FLOW_FILES if (path / name).is_file()]
        return several[0] if several else None
    return path / found.name if path.is_dir() else path


def _read(path: Path, report: Report) -> YamlDocument | None:
    try:
        return load_yaml(path)
    except GenaiopsError as error:
        if error.kind != "DuplicateKeyError":
            report.raised(error, file=path)
            return None
    text = path.read_text(encoding="utf-8-sig")
    for line, key, first in _duplicate_keys(text):
        report.error(
            "DuplicateKeyError",
            f"The key {key!r} stands twice in the same mapping; the first stands on line {first}.",
            file=path,
            line=line,
            hint="Keep one of the two.",
        )
    try:
        return parse_yaml(text, path, allow_duplicate_keys=True)
    except GenaiopsError as error:
        report.raised(error, file=path)
        return None


def _duplicate_keys(text: str) -> Iterator[tuple[int, str, int]]:
    """Line, key and line of the first one, of every key that stands twice in a mapping."""
    from ruamel.yaml import YAML
    from ruamel.yaml.nodes import MappingNode, SequenceNode

    waiting: list[Any] = [YAML(typ="rt", pure=True).compose(text)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, MappingNode):
            seen: dict[str, int] = {}
            for key, value in node.value:
                line = key.start_mark.line + 1
                if key.value in seen and key.value != "<<" and isinstance(key.value, str):
                    yield line, key.value, seen[key.value]
                seen.setdefault(str(key.value), line)
                waiting.append(value)
        elif isinstance(node, SequenceNode):
            waiting.extend(node.value)


def _flow_files(document: YamlDocument, report: Report) -> FlowFiles:
    home = document.path.parent
    entries = document.data.get("additional_includes")
    if isinstance(document.data.get("code"), str) and "entry" in document.data:
        home = home / document.data["code"]
    includes: dict[str, Path] = {}
    for index, entry in enumerate(entries if isinstance(entries, list) else []):
        path = document.path.parent / str(entry)
        zipped = path.suffix == ".zip" and path.with_suffix("").is_dir()
        if not path.exists() and not zipped:
            report.error(
                "UserErrorException",
                f"Unable to find additional include {str(entry)!r}.",
                file=document.path,
                line=document.line("additional_includes", index),
                hint=hint_for_include(path),
            )
        else:
            includes[path.resolve().name] = path
    return FlowFiles(home, includes)


def _check_environment(document: YamlDocument, files: FlowFiles, report: Report) -> None:
    requirements = mapping(document.data.get("environment")).get("python_requirements_txt")
    if isinstance(requirements, str) and files.find(requirements) is None:
        report.warning(
            "missing-requirements",
            f"The requirements file {requirements!r} does not exist.",
            file=document.path,
            line=document.line("environment", "python_requirements_txt"),
            hint=suggest(requirements, files.names(".txt")),
        )


def _variable_connections(document: YamlDocument) -> list[ConnectionUse]:
    """Connections that `environment_variables` take a field from."""
    variables = mapping(mapping(document.data).get("environment_variables"))
    return [
        ConnectionUse(match[1], document.path, document.line("environment_variables", key), None)
        for key, value in variables.items()
        if isinstance(value, str) and (match := _CONNECTION_FIELD.fullmatch(value))
    ]


def _check_connections(
    uses: Sequence[ConnectionUse], known: KnownConnections, replaced: Mapping[str, str], report: Report
) -> None:
    by_name: dict[str, list[ConnectionUse]] = {}
    for use in sorted(uses, key=lambda use: (str(use.file), use.line or 0)):
        by_name.setdefault(replaced.get(use.node or "", use.name), []).append(use)
    for name, (use, *others) in by_name.items():
        lines = sorted({other.line for other in others if other.line} - {use.line})
        again = f" It is used again on line{'s' * (len(lines) > 1)} {', '.join(map(str, lines))}." if lines else ""
        where: dict[str, Any] = {"file": use.file, "line": use.line, "node": use.node}
        if _check_connection(name, known, again, where, report):
            for user in (use, *others):
                _check_type(name, user, known, report)


def _check_type(name: str, use: ConnectionUse, known: KnownConnections, report: Report) -> None:
    """A connection has to be of a class that its user takes; a simulated one fits everywhere, a custom one may."""
    from genaiops.connections import connection_class

    spelling = known.describe(name).get("type")
    classes = [cls.__name__ for cls in connection_class(spelling).__mro__]
    if not use.types or {*classes} & {*use.types, "SimulatedConnection"} or "Connection" in use.types:
        return
    if "CustomConnection" in classes and {*use.types} - {*_OWN_CONNECTIONS}:
        return
    report.error(
        "InvalidConnectionType",
        f"The connection {name!r} is a {classes[0]}, which does not fit here.",
        file=use.file,
        line=use.line,
        node=use.node,
        hint=f"It has to be one of: {', '.join(sorted(use.types))}.",
    )


def _check_connection(name: str, known: KnownConnections, again: str, where: dict[str, Any], report: Report) -> bool:
    """Whether it is known and complete; what is wrong is reported."""
    try:
        if name not in known:
            report.error(
                "ConnectionNotFoundError",
                f"There is no connection {name!r}.{again}",
                hint=_hint_for_connection(name, known.names()),
                **where,
            )
            return False
        missing = [f"{value.field} ({' or '.join(value.variables[:2])})" for value in known.missing([name])]
        problems = known.check(name)
    except GenaiopsError as error:
        report.error(error.kind, f"The connection {name!r}: {error.message}{again}", hint=error.hint, **where)
        return False
    if missing:
        report.error(
            "missing-variable",
            f"The connection {name!r} lacks {', '.join(missing)}.{again}",
            hint="Set the variables in the environment or in .env.",
            **where,
        )
        return False
    for problem in problems:
        report.warning("ConnectionSettingsError", f"The connection {name!r}: {problem}{again}", **where)
    return True


def _hint_for_connection(name: str, known: Sequence[str]) -> str:
    variable = _variable(name)
    if known:
        return f"{suggest(name, known)} Or set {variable}_API_KEY."
    azure = f"for Azure OpenAI also {variable}_API_BASE and {variable}_API_VERSION"
    return f"Set {variable}_API_KEY in the environment or in .env; {azure}."


def _variable(name: str) -> str:
    return re.sub(r"\W", "_", name).upper()


def _check_variables(document: YamlDocument, environ: Mapping[str, str], report: Report) -> None:
    """`${env:NAME}` anywhere in the file; every variable that is not set, once."""
    told: set[str] = set()
    for place, text in _texts(document.data, ()):
        for name in _ENVIRONMENT.findall(text):
            if name not in environ and name not in told:
                told.add(name)
                report.error(
                    "missing-variable",
                    f"The environment variable {name!r} is not set.",
                    file=document.path,
                    line=document.line(*place),
                    hint=f"Set it in the environment, or write {name}=… into .env.",
                )


def _texts(value: object, place: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(item, (*place, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, (*place, index))


def _own_files(path: Path) -> list[Path]:
    """The text files beside a flow's file."""
    suffixes = (".yaml", ".yml", ".py", ".jinja2", ".jinja", ".md", ".json", ".prompty", ".txt")
    return [p for p in sorted(path.parent.iterdir()) if p.suffix.lower() in suffixes and p.is_file()]


def _check_typed_secrets(paths: Sequence[Path], report: Report) -> None:
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError):
            continue
        for place in find_secrets(text):
            report.warning(
                "secret-in-file",
                f"A secret seems to be typed in here ({place.kind}).",
                file=path,
                line=place.line,
                hint="Take it out, change it where it was made, and read it from the environment: ${NAME}.",
            )


def _check_by_loading(path: Path, chosen: Mapping[str, str] | None, report: Report) -> None:
    """The loader has the last word: what it refuses, and we did not see, is a mistake too."""
    flow, errors = examine_flow(path, variant=chosen)
    for error in errors:
        report.raised(error, file=path)
    if flow is not None:
        report.add(flow.findings)
