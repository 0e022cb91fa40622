"""A prompty file: its front matter resolved and its template."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from genaiops.errors import FlowDefinitionError, suggest
from genaiops.prompts._value_references import References, read_data_file, read_yaml
from genaiops.records import record

_FENCE = re.compile(r"^-{3,}[ \t]*$\n?", re.MULTILINE)
_INDENTED_FENCE = re.compile(r"^[ \t]*-{3,}[ \t]*$\n?", re.MULTILINE)
_LOOSE_FENCE = re.compile(r"-{3,}\n")
_APIS = ("chat", "completion")


@record(frozen=True, kw_only=True)
class PromptyFile:
    """What a prompty says, references resolved and overrides merged.

    Args:
        path: The file.
        name: From the front matter, else the file's.
        template: The body.
        first_line: The line of the file on which the body starts.
        data: The whole front matter.
        api: `chat` or `completion`.
        configuration: Which model: mapping or configuration object.
        parameters: Of the request.
        response: `first` or `all`.
        inputs: Definitions by name.
        outputs: Definitions by name; they pick members of a JSON answer.
        sample: Inputs for a call without any.
        dialect: 1, or 2 for a file written for prompty 2.x.
        roles: Words that can be roles.
        warnings: What is read otherwise than it may have been meant.
    """

    path: Path
    name: str
    template: str
    first_line: int
    data: Mapping[str, Any] = field(repr=False)
    api: Literal["chat", "completion"] = "chat"
    configuration: Any = field(default=None, repr=False)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    response: str = "first"
    inputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)
    sample: Mapping[str, Any] = field(default_factory=dict)
    dialect: int = 1
    roles: tuple[str, ...] | None = None
    warnings: tuple[str, ...] = ()


class Split(NamedTuple):
    """A prompty taken apart."""

    front: str
    front_line: int
    body: str
    body_line: int
    warnings: tuple[str, ...]


def split_prompty(text: str, path: Path) -> Split:
    """Front matter and body: the first two lines of three or more dashes are around the front matter.

    Prompt flow looks for the last such dashes, wherever they stand, so a rule or a table in the body moves text of
    the body into its front matter; where that would differ there is a warning.

    Raises:
        FlowDefinitionError: There are no two such lines.
    """
    opening = _INDENTED_FENCE.search(text)
    # A whole file that is indented is indented at its closing line too; else an indented line is text of the YAML.
    fence = _INDENTED_FENCE if opening is not None and opening[0][0] in " \t" else _FENCE
    closing = fence.search(text, opening.end()) if opening else None
    if opening is None or closing is None:
        missing = "no line '---' opens" if opening is None else "no line '---' closes"
        raise FlowDefinitionError(
            f"This is no prompty: {missing} the front matter.",
            file=path,
            line=1,
            hint="Begin with '---', then the settings as YAML, then '---', then the template.",
            kind="UserErrorException",
        )
    body = text[closing.end() :]
    body_line = text.count("\n", 0, closing.end()) + 1
    later = _LOOSE_FENCE.search(body)
    warnings: tuple[str, ...] = ()
    if later is not None:
        line = body_line + body.count("\n", 0, later.start())
        warnings = (f"{path}:{line}: dashes stay in the body; prompt flow would end the front matter there.",)
    front_line = text.count("\n", 0, opening.end()) + 1
    return Split(text[opening.end() : closing.start()], front_line, body, body_line, warnings)


def read_prompty(
    path: Path, override: Mapping[str, Any] | None = None, *, environ: Mapping[str, str] | None = None
) -> PromptyFile:
    """Read a prompty.

    Args:
        path: The file.
        override: Merged over the front matter, at any depth; it wins.
        environ: Variables for `${env:NAME}`; by default those of the current services.

    Raises:
        FlowDefinitionError: No front matter, broken YAML, a reference file that is missing or (in an override, or in
            the newer dialect) outside the folder, an unknown `api`, or a feature of the newer dialect without a
            counterpart.
    """
    from genaiops.prompts import _prompty_v2
    from genaiops.prompts._services import current_environ

    split = split_prompty(_read_text(path), path)
    front = read_yaml(split.front, path, first_line=split.front_line)
    if front is None:
        front = {}
    if not isinstance(front, dict):
        raise FlowDefinitionError("The front matter of a prompty is a mapping.", file=path, line=split.front_line)
    is_newer = _prompty_v2.is_second_dialect(front)
    environ = current_environ() if environ is None else environ
    # The newer dialect keeps to the folder of the prompty; the older one always read what its author named.
    own = References(path.parent, environ, strict=is_newer, anywhere=not is_newer, file=path)
    given = References(path.parent, environ, strict=is_newer, file=path)
    front = own.resolve(front)
    extra: tuple[str, ...] = ()
    template = split.body
    if is_newer:
        front, extra = _prompty_v2.translate(front, path)
        template = _prompty_v2.check_template(template, path, split.body_line)
    data = merged(front, given.resolve(dict(override or {})))
    return _record(path, data, template, split, extra, dialect=2 if is_newer else 1)


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Two mappings as one, at any depth; the second wins."""
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        if isinstance(value, Mapping):
            result[key] = merged(old if isinstance(old, Mapping) else {}, value)
        else:
            result[key] = value
    return result


def _read_text(path: Path) -> str:
    if path.suffix.lower() != ".prompty":
        raise FlowDefinitionError(
            f"A prompty is a file with the ending '.prompty', found {path.name!r}.", kind="UserErrorException"
        )
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise FlowDefinitionError(f"There is no file {str(path)!r}.", kind="UserErrorException") from error
    except (OSError, UnicodeDecodeError) as error:
        raise FlowDefinitionError(f"The file cannot be read as UTF-8 text: {error}.", file=path) from error


def _record(
    path: Path, data: Mapping[str, Any], template: str, split: Split, extra: tuple[str, ...], *, dialect: int
) -> PromptyFile:
    model = data.get("model") or {}
    if not isinstance(model, Mapping):
        raise FlowDefinitionError("'model' is a mapping with 'api', 'configuration' and 'parameters'.", file=path)
    api = str(model.get("api") or "chat")
    if api not in _APIS:
        raise FlowDefinitionError(f"The api {api!r} is unknown.", file=path, hint=suggest(api, _APIS))
    declared = _inputs(data.get("inputs"), path)
    sample, doubts = _sample(data.get("sample"), path, is_needed=not declared)
    inputs = declared or {name: {"type": _type_of(value)} for name, value in sample.items()}
    outputs = data.get("outputs")
    return PromptyFile(
        path=path,
        name=str(data.get("name") or path.stem),
        template=template,
        first_line=split.body_line,
        data=data,
        api="chat" if api == "chat" else "completion",
        configuration=model.get("configuration"),
        parameters=dict(model.get("parameters") or {}),
        response=str(model.get("response") or "first"),
        inputs=inputs,
        outputs=dict(outputs) if isinstance(outputs, Mapping) else {},
        sample=sample,
        dialect=dialect,
        roles=("system", "user", "assistant", "developer", "tool", "function") if dialect == 2 else None,
        warnings=(*split.warnings, *extra, *doubts),
    )


def _inputs(written: Any, path: Path) -> dict[str, dict[str, Any]]:
    if not isinstance(written, Mapping):
        if written:
            raise FlowDefinitionError("'inputs' is a mapping from names to definitions.", file=path)
        return {}
    # A bare value instead of a definition, as in older files, is what the input is when nobody gives it.
    return {
        str(name): dict(item) if isinstance(item, Mapping) else ({} if item is None else {"default": item})
        for name, item in written.items()
    }


def _sample(written: Any, path: Path, *, is_needed: bool) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The sample, and what is doubtful about it; a file that is missing is a mistake only where it declares inputs."""
    if not written:
        return {}, ()
    if isinstance(written, Mapping):
        return dict(written), ()
    if not isinstance(written, str) or not written.endswith(".json"):
        raise FlowDefinitionError(
            "A sample is a mapping of inputs or the name of a JSON file.", file=path, kind="InvalidSampleError"
        )
    name = written.removeprefix("file:").strip()
    # Prompt flow looks in the working directory only, which is where flows run: beside the prompty.
    for folder in (Path.cwd(), path.parent):
        found = folder / name
        if found.is_file():
            loaded = read_data_file(found, name, path)
            return (dict(loaded) if isinstance(loaded, Mapping) else {}), ()
    message = f"Cannot find the sample file {name!r}."
    if is_needed:
        raise FlowDefinitionError(message, file=path, kind="InvalidSampleError")
    return {}, (f"{path}: {message}",)


def _type_of(value: Any) -> str:
    names = {str: "string", bool: "bool", int: "int", float: "double", list: "list"}
    return names.get(type(value), "object")
