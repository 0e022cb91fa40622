"""Paths on the command line."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click


class ExistingPath(click.Path):
    """A path to something that exists; a misspelt one is told the nearest name beside it."""

    def __init__(self, *, file_okay: bool = True) -> None:
        super().__init__(exists=True, file_okay=file_okay, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path, or an error that names what may have been meant."""
        path = Path(value)
        if path.exists():
            return super().convert(value, param, ctx)
        return self.fail(f"There is nothing at {str(value)!r}. {meant_path(path)}".strip(), param, ctx)


def meant_path(path: Path) -> str:
    """What may have been meant by a path that leads nowhere; empty when nothing is near."""
    folder = path.absolute().parent
    if not folder.is_dir():
        return f"There is no folder {str(path.parent)!r} either."
    near = get_close_matches(path.name, [sibling.name for sibling in folder.iterdir()], n=1)
    return f"Did you mean {str(path.with_name(near[0]))!r}?" if near else ""
