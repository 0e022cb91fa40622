"""The one place where flows touch images: reading them from values, and writing them into records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from genaiops.errors import RowError


def may_hold_image(value: Any) -> bool:
    """True when a value is, or has inside, a dict that looks like an image."""
    if isinstance(value, dict):
        if len(value) == 1:
            key = next(iter(value))
            if isinstance(key, str) and key.startswith("data:image"):
                return True
        if value.get("type") in ("image_url", "image_file"):
            return True
        return any(may_hold_image(item) for item in value.values())
    return isinstance(value, list) and any(may_hold_image(item) for item in value)


def image_reader(folder: Path, allowed: Sequence[Path] = ()) -> Callable[[Any, str], Any]:
    """A function that makes images of values: of an `image` itself, of image dicts inside anything else.

    Relative paths in a flow's file are relative to `folder`; absolute ones may lead into the folders `allowed` too.
    """

    def read(value: Any, type_name: str) -> Any:
        if type_name != "image" and not may_hold_image(value):
            return value
        from genaiops import prompts

        try:
            if type_name == "image":
                return prompts.load_image(value, folder=folder, allowed=allowed)
            return prompts.load_images(value, folder=folder, allowed=allowed)
        except RowError:
            raise
        except (ValueError, TypeError, OSError) as error:
            raise RowError(
                f"This is no image: {error}.", kind="InvalidImageInput", type=type(error).__name__
            ) from error

    return read


def own_image_reader(folder: Path) -> Callable[[Any, str], Any]:
    """The same for what the flow's file holds: its author may name any file."""
    return image_reader(folder, (Path(folder.anchor),))


def image_writer(message_format: str, folder: Path | None = None) -> Callable[[Any], Any]:
    """A function that gives the JSON form of an image: a file in `folder`, or base64 without one."""

    def write(image: Any) -> Any:
        from genaiops import prompts

        return prompts.image_to_json(image, message_format=message_format, folder=folder)

    return write
