"""How many tokens a prompt has: counted where tiktoken is installed, else estimated."""

from __future__ import annotations

import base64
import binascii
import math
import struct
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

CHARACTERS_PER_TOKEN = 4
_PER_MESSAGE, _PER_NAME, _PER_REPLY = 3, 1, 3
_IMAGE_BASE, _IMAGE_TILE, _TILE_PIXELS = 85, 170, 512
_UNKNOWN_SIZE = (1024, 1024)

Count = Callable[[str], int]


def estimate_tokens(prompt: str | list[dict[str, Any]], model: str = "") -> int:
    """Tokens that a prompt or list of messages takes.

    Text is counted with tiktoken's encoding of the model when tiktoken is installed, else as one token for four
    characters. An image counts 85 and 170 for each tile of 512 × 512 pixels after scaling.

    Source:
        OpenAI cookbook, "How to count tokens with tiktoken"; OpenAI, "Calculating costs" of images.
    """
    count = _counter(model)
    if isinstance(prompt, str):
        return count(prompt)
    return sum(_message_tokens(message, count) for message in prompt) + _PER_REPLY


def _message_tokens(message: Mapping[str, Any], count: Count) -> int:
    tokens = _PER_MESSAGE + (_PER_NAME if "name" in message else 0)
    for value in message.values():
        if isinstance(value, str):
            tokens += count(value)
        elif isinstance(value, list):
            tokens += sum(_part_tokens(part, count) for part in value)
    return tokens


def _part_tokens(part: Any, count: Count) -> int:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind == "text":
        return count(str(part["text"]))
    if kind == "image_url":
        return image_tokens(*_image_size(str(part["image_url"]["url"])))
    return count(str(part))


def image_tokens(width: int, height: int) -> int:
    """Tokens of an image of this many pixels.

    >>> image_tokens(1024, 1024)
    765
    """
    scale = min(1.0, 2048 / max(width, height))
    width, height = int(width * scale), int(height * scale)
    scale = min(1.0, 768 / min(width, height)) if min(width, height) else 1.0
    tiles = math.ceil(int(width * scale) / _TILE_PIXELS) * math.ceil(int(height * scale) / _TILE_PIXELS)
    return _IMAGE_BASE + _IMAGE_TILE * tiles


@lru_cache(maxsize=32)
def _counter(model: str) -> Count:
    try:
        import tiktoken
    except ImportError:
        return lambda text: math.ceil(len(text) / CHARACTERS_PER_TOKEN)
    try:
        encoding = tiktoken.encoding_for_model(model)
    except KeyError:
        encoding = tiktoken.get_encoding("cl100k_base")
    return lambda text: len(encoding.encode(text, disallowed_special=()))


class _Size(NamedTuple):
    width: int
    height: int


def _image_size(url: str) -> _Size:
    """Pixels of an image in a data URL; a usual size for one that is elsewhere or cannot be read."""
    if not url.startswith("data:"):
        return _Size(*_UNKNOWN_SIZE)
    try:
        start = base64.b64decode(url.partition(",")[2][:87_380])  # the first 64 KiB hold the size
        return _Size(*(_size_of(start) or _UNKNOWN_SIZE))
    except (binascii.Error, struct.error, IndexError):
        return _Size(*_UNKNOWN_SIZE)


def _size_of(image: bytes) -> tuple[int, int] | None:
    if image[:8] == b"\x89PNG\r\n\x1a\n":
        width, height = struct.unpack(">II", image[16:24])
        return width, height
    if image[:4] == b"GIF8":
        width, height = struct.unpack("<HH", image[6:10])
        return width, height
    return _jpeg_size(image) if image[:3] == b"\xff\xd8\xff" else None


def _jpeg_size(image: bytes) -> tuple[int, int] | None:
    position = 2
    while position + 9 < len(image) and image[position] == 0xFF:
        marker, length = struct.unpack(">BH", image[position + 1 : position + 4])
        # The frame headers; C4, C8 and CC are tables that share their range.
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", image[position + 5 : position + 9])
            return width, height
        position += 2 + length
    return None
