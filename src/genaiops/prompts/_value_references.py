"""`${env:NAME}` and `${file:path}` in the front matter of a prompty."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genaiops.errors import FlowDefinitionError

_log = logging.getLogger(__name__)
_REFERENCE = re.compile(r"\$\{(\w+):(.*)\}(.*)", re.DOTALL)


class References:
    """Resolves references for one prompty.

    Args:
        folder: Of the prompty; paths of files start there.
        environ: Variables.
        strict: The newer dialect: a variable may carry a default, and one that is not set is an error.
        anywhere: Files may lie outside of the folder: the author of the prompty wrote their paths.
        file: The prompty, named in errors.
    """

    def __init__(
        self, folder: Path, environ: Mapping[str, str], *, strict: bool = False, anywhere: bool = False, file: Path
    ) -> None:
        self.folder = folder.resolve()
        self.environ = environ
        self.strict = strict
        self.anywhere = anywhere
        self.file = file

    def resolve(self, value: Any) -> Any:
        """The value with every text that starts with a reference replaced, at any depth."""
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list):
            return [self.resolve(item) for item in value]
        if isinstance(value, dict):
            return {key: self.resolve(item) for key, item in value.items()}
        return value

    def _text(self, text: str) -> Any:
        match = _REFERENCE.match(text)
        if match is None:
            return text
        kind, name, rest = match.groups()
        # Published promptys write `${ENV:NAME}` as well, which prompt flow sends to the service as text.
        if kind in ("env", "ENV"):
            found = self._variable(name, text)
        elif kind == "file":
            found = self._file(name)
        else:
            _log.warning("%s: %r is no reference to 'env' or 'file' and stays as it is.", self.file, text)
            return text
        if rest and found != text:
            _log.warning("%s: the text %r after a reference is dropped, as prompt flow does.", self.file, rest)
        return found

    def _variable(self, name: str, text: str) -> str:
        if not self.strict:
            return self.environ.get(name, text)
        name, _, default = name.partition(":")
        found = self.environ.get(name, default or None)
        if found is None:
            raise FlowDefinitionError(
                f"The variable {name!r} is not set.", file=self.file, hint=f"Set it, or write ${{env:{name}:default}}."
            )
        return found

    def _file(self, name: str) -> Any:
        path = (self.folder / name).resolve()
        if not self.anywhere and not path.is_relative_to(self.folder):
            raise FlowDefinitionError(
                f"The reference file {name!r} lies outside the folder of the prompty.",
                file=self.file,
                hint="Keep it beside the prompty or below.",
            )
        return read_data_file(path, name, self.file)


def read_data_file(path: Path, name: str, prompty: Path) -> Any:
    """JSON or YAML data of a file by its ending, else its text.

    Raises:
        FlowDefinitionError: It is not there, or cannot be read as what it is.
    """
    if not path.is_file():
        raise FlowDefinitionError(f"Cannot find the reference file {name!r}.", file=prompty, kind="UserErrorException")
    text = path.read_text(encoding="utf-8-sig")
    if path.suffix.lower() == ".json":
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            what = f"The file is no JSON: {error.msg} (column {error.colno})."
            raise FlowDefinitionError(what, file=path, line=error.lineno, kind="UserErrorException") from error
    return read_yaml(text, path) if path.suffix.lower() in (".yaml", ".yml") else text


def read_yaml(text: str, path: Path, *, first_line: int = 1) -> Any:
    """YAML 1.2 text as plain data.

    Raises:
        FlowDefinitionError: It is no YAML, or has a key twice; with the line of the file.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
        problem = error.problem if isinstance(error, MarkedYAMLError) else str(error)
        raise FlowDefinitionError(
            f"The YAML cannot be read: {problem}.",
            file=path,
            line=mark.line + first_line if mark else None,
            kind="UserErrorException",
            type=type(error).__name__,
        ) from error
