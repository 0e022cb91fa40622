"""From what a user names (a folder, a file, `module:name`, a callable) to the file of a flow."""

from __future__ import annotations

import re
from pathlib import Path

from genaiops.errors import FlowDefinitionError, suggest
from genaiops.records import record

FLOW_FILES = ("flow.dag.yaml", "flow.dag.yml", "flow.flex.yaml", "flow.flex.yml")
_SUFFIXES = (".yaml", ".yml", ".prompty")
# `module.sub:name`; a Windows path such as `C:\flows` has a separator behind its colon.
_ENTRY = re.compile(r"[A-Za-z_]\w*(\.\w+)*:[A-Za-z_]\w*")


@record(frozen=True)
class FlowFile:
    """A flow's file, or an entry `module:name` without one (then `path` is the folder to import from)."""

    path: Path
    entry: str | None = None

    @property
    def is_prompty(self) -> bool:
        """True for a `.prompty` file."""
        return self.path.suffix.lower() == ".prompty"


def is_entry(text: str) -> bool:
    """True for text of the form `module:name`."""
    return _ENTRY.fullmatch(text) is not None


def locate_flow(source: str | Path) -> FlowFile:
    """Find the flow that `source` names.

    A folder must hold exactly one of `flow.dag.yaml`, `flow.dag.yml`, `flow.flex.yaml`, `flow.flex.yml`, or else
    exactly one `*.prompty`. A file may have any base name and must end in `.yaml`, `.yml` or `.prompty`.

    Raises:
        FlowDefinitionError: Nothing, or more than one flow, was found.
    """
    path = Path(source)
    if path.is_dir():
        return FlowFile(_flow_in_folder(path).absolute())
    if path.is_file():
        if path.suffix.lower() not in _SUFFIXES:
            raise FlowDefinitionError(
                f"A flow's file ends in .yaml, .yml or .prompty, not in {path.suffix!r}.",
                file=path,
                kind="UserErrorException",
            )
        return FlowFile(path.absolute())
    if isinstance(source, str) and is_entry(source):
        return FlowFile(Path.cwd(), entry=source)
    raise FlowDefinitionError(
        f"There is no flow at {str(source)!r}.", hint=_neighbours(path), kind="UserErrorException"
    )


def _flow_in_folder(folder: Path) -> Path:
    found = [folder / name for name in FLOW_FILES if (folder / name).is_file()]
    if len(found) == 1:
        return found[0]
    if found:
        raise FlowDefinitionError(
            f"The folder {str(folder)!r} holds several flow files: {', '.join(p.name for p in found)}.",
            file=found[1],
            line=1,
            hint="Name the one you mean, or remove the others.",
            kind="ValidationException",
        )
    prompts = sorted(folder.glob("*.prompty"))
    if len(prompts) == 1:
        return prompts[0]
    others = sorted(p.name for p in (*folder.glob("*.y*ml"), *prompts))
    hint = f"It holds {', '.join(others[:10])}; name the one you mean." if others else "It holds no YAML file at all."
    raise FlowDefinitionError(
        f"The folder {str(folder)!r} holds no flow.dag.yaml and no flow.flex.yaml.",
        hint=hint,
        kind="UserErrorException",
    )


def _neighbours(path: Path) -> str | None:
    parent = path.parent
    if not parent.is_dir():
        return f"There is no folder {str(parent)!r} either."
    names = [p.name for p in parent.iterdir() if p.is_dir() or p.suffix in _SUFFIXES]
    return suggest(path.name, [name for name in names if not name.startswith(".")])


def flow_name(text: str) -> str:
    """A name as prompt flow makes it from a folder: lower case, `_` for other characters, `n` before a digit.

    >>> flow_name("2 Web-Classification")
    'n2_web_classification'
    """
    name = re.sub(r"\W", "_", text.lower())
    return f"n{name}" if name[:1].isdigit() else name
