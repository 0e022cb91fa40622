"""Images as flow code knows them, and the two ways in which data files and yaml write them.

`basic`: `{"data:image/png;path": "cat.png"}` (or `;base64`, `;url`). `openai-vision`: `{"type": "image_url",
"image_url": {"url": …}}` and `{"type": "image_file", "image_file": {"path": …}}`, mixed with text parts.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from genaiops.prompts._errors import PromptError

MessageFormat = Literal["basic", "openai-vision"]
MAX_IMAGE_BYTES = 20 * 1024 * 1024

_KEY = re.compile(r"data:image/([^;]*);(path|base64|url)")
_TEXT_FORM = re.compile(r"data:image/([^;]*);\s*(path|base64|url):\s*(.*)", re.DOTALL)
_DATA_URL = re.compile(r"data:image/([^;,]*);base64,(.*)", re.DOTALL)
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")
_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "png"),
    (0, b"\xff\xd8\xff", "jpeg"),
    (0, b"GIF8", "gif"),
    (8, b"WEBP", "webp"),
    (0, b"BM", "bmp"),
    (0, b"II*\x00", "tiff"),
    (0, b"MM\x00*", "tiff"),
    (0, b"\x00\x00\x01\x00", "x-icon"),
    (4, b"ftypavif", "avif"),
    (4, b"ftypheic", "heic"),
)


class Image(bytes):
    """The bytes of an image with their type; prints as `Image(8 hex digits of their SHA-1)`.

    >>> Image(b"GIF89a")
    Image(25c9b37a)
    """

    _mime_type: str
    _hash: str
    _source_url: str | None

    def __new__(cls, value: bytes, mime_type: str | None = None, source_url: str | None = None) -> Image:
        image = super().__new__(cls, value)
        image._hash = hashlib.sha1(value, usedforsecurity=False).hexdigest()[:8]
        image._mime_type = (mime_type or sniff_image_type(value)).lower()
        image._source_url = source_url
        return image

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (bytes(self), self._mime_type, self._source_url))

    def __str__(self) -> str:
        return f"Image({self._hash})"

    __repr__ = __str__

    @property
    def mime_type(self) -> str:
        """Such as `image/png`; `image/*` when it cannot be told."""
        return self._mime_type

    @property
    def source_url(self) -> str | None:
        """Where it was downloaded from."""
        return self._source_url

    def to_base64(self, with_type: bool = False, dict_type: bool = False) -> Any:
        """Base64 text; as a data URL with `with_type`, as `{"data:image/png;base64": …}` with `dict_type`."""
        text = base64.b64encode(self).decode("ascii")
        if dict_type:
            return {f"data:{self._mime_type};base64": text}
        return f"data:{self._mime_type};base64,{text}" if with_type else text

    def serialize(self, encoder: Callable[[Image], Any] | None = None) -> Any:
        """What a record holds for it: `Image(hash)`, or what `encoder` makes of it."""
        return encoder(self) if encoder else str(self)


PFBytes = Image  # flow code knows the base class by this name


class Text(str):
    """A text part of a message in `openai-vision` form, with its annotations."""

    _annotations: list[Any] | None

    def __new__(cls, value: str, annotations: list[Any] | None = None) -> Text:
        text = super().__new__(cls, value)
        text._annotations = annotations
        return text

    @classmethod
    def deserialize(cls, data: Mapping[str, Any]) -> Text:
        """From `{"type": "text", "text": …}`."""
        text = data.get("text", "")
        if isinstance(text, Mapping):
            return cls(str(text.get("value", "")), list(text.get("annotations", ())))
        return cls(str(text))

    def serialize(self) -> dict[str, Any]:
        """As `{"type": "text", "text": …}`."""
        if self._annotations is None:
            return {"type": "text", "text": str(self)}
        return {"type": "text", "text": {"value": str(self), "annotations": self._annotations}}


class ImageLoader:
    """Makes images of what data and yaml hold.

    Args:
        folder: Where relative paths start: the folder of the data file, or of the flow.
        allowed: More folders that files may come from. A path that leads out of all of them is refused.
        message_format: How images are written as mappings; None takes either way.
        download: Gets the bytes of a URL; by default only from public hosts (see `download_image`).
        max_bytes: Larger images are refused.
    """

    def __init__(
        self,
        folder: Path,
        *,
        allowed: Sequence[Path] = (),
        message_format: str | None = None,
        download: Callable[[str, int], bytes] | None = None,
        max_bytes: int = MAX_IMAGE_BYTES,
    ) -> None:
        self.folder = folder.resolve()
        self.allowed = (self.folder, *(path.resolve() for path in allowed))
        self.message_format = check_message_format(message_format) if message_format else None
        self.max_bytes = max_bytes
        self._download = download

    def image(self, value: Any) -> Image:
        """An image from a mapping, or from text that is base64, a URL or a path, tried in this order.

        Raises:
            PromptError: It is none of these, or may not be read (kind `InvalidImageInput`).
        """
        if isinstance(value, Image):
            return value
        if isinstance(value, Mapping):
            if not is_image_dict(value, self.message_format):
                raise _invalid(f"An image is a mapping with one key such as {_example(self.message_format)}.")
            return self._from_dict(value)
        if not isinstance(value, str):
            raise _invalid(f"An image is text or a mapping, found {type(value).__name__}.")
        if not value:
            raise _invalid("An image is empty text.")
        return self._from_text(value)

    def images_in(self, value: Any) -> Any:
        """The value with every image mapping in it, at any depth, as an image."""
        if isinstance(value, list):
            return [self.images_in(item) for item in value]
        if not isinstance(value, dict):
            return value
        if is_image_dict(value, self.message_format):
            return self._from_dict(value)
        if self.message_format == "openai-vision" and is_text_dict(value):
            return Text.deserialize(value)
        return {key: self.images_in(item) for key, item in value.items()}

    def from_written_text(self, value: str) -> Image | str:
        """An image from `data:image/png;path: cat.png` and the like; any other text as it is."""
        match = _TEXT_FORM.fullmatch(value)
        return self._from_parts(match[1], match[2], match[3]) if match else value

    def _from_dict(self, value: Mapping[str, Any]) -> Image:
        if "type" in value:
            if value["type"] == "image_file":
                return self._from_path(str(value["image_file"]["path"]), None)
            url = str(value["image_url"]["url"])
            return self._from_base64(url, None) if _is_base64(url) else self._from_url(url, None)
        ((key, content),) = value.items()
        match = _KEY.fullmatch(key)
        assert match is not None  # is_image_dict has seen it
        return self._from_parts(match[1], match[2], str(content))

    def _from_parts(self, subtype: str, resource: str, content: str) -> Image:
        make = {"path": self._from_path, "base64": self._from_base64, "url": self._from_url}[resource]
        return make(content, f"image/{subtype}")

    def _from_text(self, value: str) -> Image:
        if _is_base64(value):
            return self._from_base64(value, None)
        return self._from_url(value, None) if _is_url(value) else self._from_path(value, None)

    def _from_path(self, value: str, mime_type: str | None) -> Image:
        try:
            path = (self.folder / value).resolve()
        except (OSError, ValueError) as error:  # a loop of links, a null character
            raise _invalid(f"The image {value[:200]!r} is no path.") from error
        if not any(path.is_relative_to(folder) for folder in self.allowed):
            raise _invalid(f"The image path {value!r} leads out of {str(self.folder)!r}.")
        try:
            if path.stat().st_size > self.max_bytes:
                raise _invalid(f"The image {value!r} is larger than {self.max_bytes:,} bytes.")
            return Image(path.read_bytes(), mime_type)
        except OSError as error:
            raise _invalid(f"The image {value[:200]!r} cannot be read: {error.strerror or error}.") from error

    def _from_base64(self, value: str, mime_type: str | None) -> Image:
        match = _DATA_URL.fullmatch(value)
        content = match[2] if match else value
        if match and mime_type is None and match[1] not in ("", "*"):
            mime_type = f"image/{match[1]}"
        if len(content) > self.max_bytes * 4 // 3 + 4:
            raise _invalid(f"The image is larger than {self.max_bytes:,} bytes.")
        try:
            return Image(base64.b64decode(content, validate=True), mime_type)
        except binascii.Error as error:
            raise _invalid(f"The text is no base64: {error}.") from error

    def _from_url(self, value: str, mime_type: str | None) -> Image:
        if not _is_url(value):
            raise _invalid(f"{value[:200]!r} is neither a URL nor base64.")
        download = self._download
        if download is None:
            from genaiops.prompts._image_download import download_image

            download = download_image
        return Image(download(value, self.max_bytes), mime_type, value)


def check_message_format(value: str | None) -> MessageFormat:
    """The `message_format` of a flow.

    Raises:
        PromptError: It is neither `basic` nor `openai-vision` (kind `InvalidMessageFormatType`).
    """
    text = (value or "basic").lower()
    if text == "basic":
        return "basic"
    if text == "openai-vision":
        return "openai-vision"
    raise PromptError(
        f"The message format {value!r} is unknown.",
        hint="Valid: basic, openai-vision.",
        kind="InvalidMessageFormatType",
    )


def load_image(
    value: Any, *, folder: Path | None = None, allowed: Sequence[Path] = (), message_format: str | None = None
) -> Image:
    """An image from a mapping, base64, a URL or a path in `folder` (by default the working directory).

    Absolute paths may also lead into the folders `allowed`.

    Raises:
        PromptError: Kind `InvalidImageInput`.
    """
    return ImageLoader(folder or Path.cwd(), allowed=allowed, message_format=message_format).image(value)


def load_images(
    value: Any, *, folder: Path | None = None, allowed: Sequence[Path] = (), message_format: str | None = None
) -> Any:
    """The value with every image mapping in it, at any depth, as an image (see `load_image`)."""
    return ImageLoader(folder or Path.cwd(), allowed=allowed, message_format=message_format).images_in(value)


def is_image_dict(value: Any, message_format: str | None = None) -> bool:
    """Whether a value is an image written as a mapping, in one form or (None) in either.

    >>> is_image_dict({"data:image/png;path": "cat.png"})
    True
    """
    if not isinstance(value, Mapping):
        return False
    if message_format is None:
        return is_image_dict(value, "basic") or is_image_dict(value, "openai-vision")
    if message_format != "openai-vision":
        return len(value) == 1 and isinstance(key := next(iter(value)), str) and _KEY.fullmatch(key) is not None
    kind = value.get("type")
    part = value.get(kind) if len(value) == 2 and isinstance(kind, str) else None
    needed = {"image_url": "url", "image_file": "path"}.get(str(kind))
    return isinstance(part, Mapping) and needed in part


def is_text_dict(value: Mapping[str, Any]) -> bool:
    """Whether a mapping is a text part of a message."""
    if len(value) != 2 or value.get("type") != "text":
        return False
    text = value.get("text")
    return isinstance(text, str) or (isinstance(text, Mapping) and isinstance(text.get("value"), str))


def find_images(value: Any) -> Iterator[Image]:
    """The images in a value, at any depth."""
    if isinstance(value, Image):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from find_images(item)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from find_images(item)


def replace_images(value: Any, replace: Callable[[Image], Any]) -> Any:
    """The value with each image in it, at any depth, replaced; text parts are written out again."""
    if isinstance(value, Image):
        return replace(value)
    if isinstance(value, Text):
        return value.serialize()
    if isinstance(value, list):
        return [replace_images(item, replace) for item in value]
    if isinstance(value, dict):
        return {key: replace_images(item, replace) for key, item in value.items()}
    return value


def persist_images(value: Any, folder: Path, *, subfolder: str = "", message_format: str | None = "basic") -> Any:
    """The value with each image written to a file below `folder` and named by its path relative to it.

    An image that came from a URL is named by that URL and not written.
    """
    return replace_images(
        value, lambda image: image_to_json(image, folder=folder, subfolder=subfolder, message_format=message_format)
    )


def image_to_json(
    image: Image, *, folder: Path | None = None, subfolder: str = "", message_format: str | None = "basic"
) -> dict[str, Any]:
    """An image as a mapping: its URL, a file written below `folder`, or base64 when there is no folder."""
    form = check_message_format(message_format)
    if folder is None:
        return _base64_dict(image, form)
    if image.source_url:
        return _url_dict(image, image.source_url, form)
    relative = Path(subfolder) / f"{uuid.uuid4()}{_extension(image)}"
    (folder / relative).parent.mkdir(parents=True, exist_ok=True)
    (folder / relative).write_bytes(image)
    if form == "openai-vision":
        return {"type": "image_file", "image_file": {"path": relative.as_posix()}}
    return {f"data:{image.mime_type};path": relative.as_posix()}


def images_to_base64(value: Any, *, message_format: str | None = "basic") -> Any:
    """The value with each image as a mapping that holds its bytes as base64."""
    form = check_message_format(message_format)
    return replace_images(value, lambda image: _base64_dict(image, form))


def images_to_text(value: Any) -> Any:
    """The value with each image as `Image(hash)`."""
    return replace_images(value, str)


def absolute_image_paths(value: Any, folder: Path, *, message_format: str | None = "basic") -> Any:
    """The value with the path of each image mapping made absolute, `folder` being where relative ones start."""
    form = check_message_format(message_format)
    if isinstance(value, list):
        return [absolute_image_paths(item, folder, message_format=form) for item in value]
    if not isinstance(value, dict):
        return value
    if not is_image_dict(value, form):
        return {key: absolute_image_paths(item, folder, message_format=form) for key, item in value.items()}
    if form == "openai-vision":
        if value["type"] != "image_file":
            return value
        return {"type": "image_file", "image_file": {"path": str(folder / str(value["image_file"]["path"]))}}
    return {key: str(folder / str(item)) if key.endswith(";path") else item for key, item in value.items()}


def sniff_image_type(value: bytes) -> str:
    """The type of an image by its first bytes; `image/*` when none fits."""
    for offset, signature, subtype in _SIGNATURES:
        if value[offset : offset + len(signature)] == signature:
            return f"image/{subtype}"
    return "image/*"


def _url_dict(image: Image, url: str, form: MessageFormat) -> dict[str, Any]:
    if form == "openai-vision":
        return {"type": "image_url", "image_url": {"url": url}}
    return {f"data:{image.mime_type};url": url}


def _base64_dict(image: Image, form: MessageFormat) -> dict[str, Any]:
    if form == "openai-vision":
        return _url_dict(image, image.to_base64(with_type=True), form)
    return {f"data:{image.mime_type};base64": image.to_base64()}


def _extension(image: Image) -> str:
    subtype = image.mime_type.rpartition("/")[2]
    return f".{subtype}" if re.fullmatch(r"[\w.+-]+", subtype) else ""


def _is_base64(value: str) -> bool:
    match = _DATA_URL.fullmatch(value)
    content = match[2] if match else value
    return len(content) % 4 == 0 and _BASE64.fullmatch(content) is not None


def _is_url(value: str) -> bool:
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return bool(parts.scheme and parts.netloc)


def _example(form: MessageFormat | None) -> str:
    return "'image_url' or 'image_file' beside 'type'" if form == "openai-vision" else "'data:image/png;path'"


def _invalid(message: str) -> PromptError:
    return PromptError(message, kind="InvalidImageInput")
