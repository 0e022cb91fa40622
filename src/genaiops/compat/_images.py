"""Images that a flow host sent along as base64, taken out again.

Only what holds the image itself is touched: a path or an address in an output is text that somebody wrote, and is
never opened.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genaiops.prompts import Image


def images_of(value: Any) -> Any:
    """The value with each base64 image as an `Image`."""
    return _replaced(value, lambda image, _: image)


def images_as_files(value: Any, folder: Path) -> Any:
    """The value with each base64 image as a file in a folder, named by its absolute path."""

    def write(image: Image, form: str) -> Any:
        from genaiops.prompts import absolute_image_paths, image_to_json

        folder.mkdir(parents=True, exist_ok=True)
        written = image_to_json(image, folder=folder, message_format=form)
        return absolute_image_paths(written, folder, message_format=form)

    return _replaced(value, write)


def _replaced(value: Any, replace: Callable[[Image, str], Any]) -> Any:
    if isinstance(value, list):
        return [_replaced(item, replace) for item in value]
    if not isinstance(value, dict):
        return value
    form = _form(value)
    if form is None:
        return {key: _replaced(item, replace) for key, item in value.items()}
    from genaiops.prompts import PromptError, load_image

    try:
        return replace(load_image(value, message_format=form), form)
    except PromptError:
        return value


def _form(value: dict[str, Any]) -> str | None:
    """Which of the two forms of a base64 image a mapping is; None when it is none."""
    if len(value) == 1:
        (key,) = value
        return "basic" if isinstance(key, str) and key.startswith("data:image/") and key.endswith(";base64") else None
    inner = value.get("image_url") if value.get("type") == "image_url" else None
    is_data = isinstance(inner, dict) and str(inner.get("url", "")).startswith("data:image/")
    return "openai-vision" if is_data else None
