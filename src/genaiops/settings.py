"""Everything that comes from outside, read once at the door and passed down.

Only this module reads the environment of the process. Values come from the process environment first, then from
`.env` files: the one that was named, then those of the use case, the current folder and the project.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path

from genaiops.errors import SettingsError
from genaiops.records import record

STATE_FOLDER = ".genaiops"


@record(frozen=True, kw_only=True)
class Settings:
    """What the surroundings say.

    Args:
        project: The folder that owns runs and caches: the nearest ancestor with `.genaiops` or `.git`, else the
            current folder.
        state: Where runs, kept results and the registry are stored; `GENAIOPS_HOME` moves it.
        environ: Variables of the process and of `.env` files; the process wins.
        sources: Where each variable came from: `environment` or `FILE:LINE`.
        is_ci: A CI server runs this (`CI` is set and not `false`).
        is_terminal: A person looks at standard error.
        no_color: `NO_COLOR` is set, or nobody looks.
    """

    project: Path
    state: Path
    environ: Mapping[str, str] = field(repr=False)
    sources: Mapping[str, str] = field(repr=False)
    is_ci: bool = False
    is_terminal: bool = False
    no_color: bool = True
    debug: bool = False

    def with_dotenv(self, path: Path) -> Settings:
        """The same settings with one more `.env` file, which never overrides what is set already."""
        environ, sources = dict(self.environ), dict(self.sources)
        _add_dotenv(path, environ, sources)
        return Settings(
            project=self.project,
            state=self.state,
            environ=environ,
            sources=sources,
            is_ci=self.is_ci,
            is_terminal=self.is_terminal,
            no_color=self.no_color,
            debug=self.debug,
        )


def load_settings(
    *,
    cwd: Path | None = None,
    environ: Mapping[str, str] | None = None,
    dotenv: Path | None = None,
    extra_dotenv_folders: Sequence[Path] = (),
) -> Settings:
    """Read the environment and the `.env` files, once.

    Args:
        cwd: The current folder.
        environ: The variables of the process.
        dotenv: A `.env` file that somebody named; it must exist.
        extra_dotenv_folders: More folders whose `.env` counts, nearest first (a use case, a flow).

    Raises:
        SettingsError: The named file does not exist, or a `.env` file has a line that means nothing.
    """
    here = (cwd or Path.cwd()).resolve()
    process = dict(os.environ if environ is None else environ)
    project = find_project(here)
    variables, sources = dict(process), dict.fromkeys(process, "environment")
    if dotenv is not None and not dotenv.is_file():
        raise SettingsError(f"The file {str(dotenv)!r} does not exist.", hint="Name an existing .env file.")
    folders = [*extra_dotenv_folders, here, project]
    files = ([dotenv] if dotenv else []) + [folder / ".env" for folder in folders]
    for path in dict.fromkeys(file.resolve() for file in files):
        if path.is_file():
            _add_dotenv(path, variables, sources)
    home = variables.get("GENAIOPS_HOME")
    is_ci = variables.get("CI", "").lower() not in ("", "0", "false")
    is_terminal = bool(sys.stderr and sys.stderr.isatty()) and not is_ci
    return Settings(
        project=project,
        state=Path(home).expanduser().resolve() if home else project / STATE_FOLDER,
        environ=variables,
        sources=sources,
        is_ci=is_ci,
        is_terminal=is_terminal,
        no_color=not is_terminal or bool(variables.get("NO_COLOR")),
        debug=variables.get("GENAIOPS_DEBUG", "") not in ("", "0", "false"),
    )


def find_project(folder: Path) -> Path:
    """The nearest ancestor that holds `.genaiops` or `.git`; the folder itself when there is none."""
    home = Path.home()
    for candidate in (folder, *folder.parents):
        if (candidate / ".git").exists() or ((candidate / STATE_FOLDER).is_dir() and candidate != home):
            return candidate
    return folder


def state_folder(settings: Settings, *parts: str) -> Path:
    """A folder below the state folder, made when it is missing and kept out of version control."""
    if not (settings.state / ".gitignore").exists():
        settings.state.mkdir(parents=True, exist_ok=True)
        (settings.state / ".gitignore").write_text("*\n", encoding="utf-8")
    folder = settings.state.joinpath(*parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


_ASSIGNMENT = re.compile(r"(?:export[ \t]+)?(?P<name>[A-Za-z_][A-Za-z0-9_.\-]*)[ \t]*=[ \t]*", re.ASCII)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$", "'": "'"}


def read_dotenv(path: Path) -> dict[str, str]:
    """The variables of a `.env` file.

    Understands `export`, comments, single quotes (literal), double quotes (with escapes) and values over several
    lines inside quotes; a value may hold `=` and blanks.

    Raises:
        SettingsError: A line is neither an assignment nor a comment, or a quote is never closed.
    """
    return {name: value for name, value, _ in _parse_dotenv(path)}


def parse_dotenv(text: str, path: Path) -> dict[str, str]:
    """`read_dotenv` for text that is already read; `path` is what errors name."""
    return {name: value for name, value, _ in _assignments(text, path)}


def _parse_dotenv(path: Path) -> list[tuple[str, str, int]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SettingsError(f"The file is not UTF-8 text ({error.reason} at byte {error.start}).", file=path) from error
    return _assignments(text, path)


def _assignments(text: str, path: Path) -> list[tuple[str, str, int]]:
    """Name, value and line of each assignment."""
    found: list[tuple[str, str, int]] = []
    position = 0
    while position < len(text):
        end = _line_end(text, position)
        line = text[position:end].strip()
        if not line or line.startswith("#"):
            position = end + 1
            continue
        position += len(text[position:end]) - len(text[position:end].lstrip())
        number = text.count("\n", 0, position) + 1
        match = _ASSIGNMENT.match(text, position)
        if match is None:
            # The text itself is not shown: it may be a secret without its name.
            raise SettingsError("Expected NAME=value.", file=path, line=number, hint="Comments start with '#'.")
        value, position = _read_value(text, match.end(), path, number)
        found.append((match["name"], value, number))
    return found


def _read_value(text: str, start: int, path: Path, number: int) -> tuple[str, int]:
    """The value that starts here, and where the next line starts."""
    quote = text[start : start + 1]
    if quote not in ("'", '"'):
        end = _line_end(text, start)
        return re.split(r"(?:^|\s)#", text[start:end], maxsplit=1)[0].strip(), end + 1
    characters: list[str] = []
    position = start + 1
    while position < len(text):
        character = text[position]
        if character == quote:
            return "".join(characters), _line_end(text, position) + 1
        if character == "\\" and quote == '"' and text[position + 1 : position + 2] in _ESCAPES:
            characters.append(_ESCAPES[text[position + 1]])
            position += 2
            continue
        characters.append(character)
        position += 1
    raise SettingsError(f"The quote {quote} that opens the value is never closed.", file=path, line=number)


def _line_end(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end


def _add_dotenv(path: Path, variables: dict[str, str], sources: dict[str, str]) -> None:
    for name, value, number in _parse_dotenv(path):
        # Later lines of one file win, as shells do; an earlier source always wins over a later file.
        if name not in variables or sources[name].startswith(f"{path}:"):
            variables[name] = value
            sources[name] = f"{path}:{number}"
