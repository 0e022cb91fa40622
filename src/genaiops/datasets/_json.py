"""JSON Lines, and JSON arrays of objects, read piece by piece."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from genaiops.errors import DataError

MAX_ROW_BYTES = 64 * 1024 * 1024
_CHUNK = 1 << 20
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any] | DataError]]:
    """Each line's number and object; blank lines are passed over."""
    loads = json.loads
    with path.open("rb") as file:
        refuse_utf16(file, path)
        line = 0
        while text := file.readline(MAX_ROW_BYTES):
            line += 1
            if len(text) >= MAX_ROW_BYTES and not text.endswith(b"\n"):
                _skip_line(file)
                yield line, DataError("The line is longer than 64 MiB.", file=path, line=line)
                continue
            if line == 1:
                text = text.removeprefix(codecs.BOM_UTF8)
            if text.isspace() or not text:
                continue
            try:
                # Decoded here, because `json` guesses UTF-16 and UTF-32 from zero bytes.
                values = loads(text.decode("utf-8"))
            except (ValueError, RecursionError) as error:
                yield line, _bad_json(error, text, path, line)
                continue
            if type(values) is not dict:
                yield line, _not_an_object(values, path, line)
                continue
            yield line, values


def read_json(path: Path) -> Iterator[tuple[int, dict[str, Any] | DataError]]:
    """Each object of a JSON array and the line where it starts; a single object counts as one row.

    A file that holds one object a line, as JSON Lines does, is read as such.
    """
    with path.open("rb") as file:
        refuse_utf16(file, path)
        stream = _JsonText(file, path)
        first = stream.peek()
        if first == "":
            return
        if first != "[":
            yield from read_jsonl(path) if _is_jsonl(path) else [_single_object(stream, path)]
            return
        stream.take()
        yield from _elements(stream, path)


def _elements(stream: _JsonText, path: Path) -> Iterator[tuple[int, dict[str, Any] | DataError]]:
    first = True
    while (sign := stream.peek()) != "]":
        if not first:
            if sign != ",":
                yield stream.line, _broken_array(sign, path, stream.line)
                return
            stream.take()
            stream.peek()
        first = False
        line = stream.line
        try:
            values = stream.value()
        except (ValueError, RecursionError) as error:
            # Nobody can tell where the next element of a broken array begins.
            yield line, _bad_json(error, b"", path, stream.line)
            return
        yield line, values if type(values) is dict else _not_an_object(values, path, line)


def _single_object(stream: _JsonText, path: Path) -> tuple[int, dict[str, Any] | DataError]:
    line = stream.line
    try:
        values = stream.value()
    except (ValueError, RecursionError) as error:
        return line, _bad_json(error, b"", path, stream.line)
    return line, values if type(values) is dict else _not_an_object(values, path, line)


def _is_jsonl(path: Path) -> bool:
    """Whether the first line is an object by itself and another line follows."""
    with path.open("rb") as file:
        first = file.readline(MAX_ROW_BYTES).removeprefix(codecs.BOM_UTF8)
        try:
            return type(json.loads(first)) is dict and file.readline(MAX_ROW_BYTES).lstrip()[:1] == b"{"
        except ValueError:
            return False


class _JsonText:
    """JSON values taken one after the other from a file, holding little more than the current one."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self._path = path
        self._decoder = json.JSONDecoder()
        self._utf8 = codecs.getincrementaldecoder("utf-8-sig")()
        self._text = ""
        self._at = 0
        self._ended = False
        self.line = 1

    def peek(self) -> str:
        """The next character that is not blank; empty at the end."""
        while True:
            while self._at < len(self._text):
                sign = self._text[self._at]
                if not sign.isspace():
                    return sign
                self.take()
            if not self._read():
                return ""

    def take(self) -> None:
        """Pass over one character."""
        self.line += self._text[self._at] == "\n"
        self._at += 1

    def value(self) -> Any:
        """The JSON value that starts here.

        Raises:
            ValueError: It is broken, not UTF-8, or longer than 64 MiB; `line` then tells where.
        """
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                lines_before = self._text.count("\n", self._at, error.pos)
                if not self._read():
                    self.line += lines_before
                    raise
                continue
            if end == len(self._text) and self._read():
                continue  # a number may go on in the next piece
            self.line += self._text.count("\n", self._at, end)
            self._at = end
            return value

    def _read(self) -> bool:
        """Add the next piece, as long as what is held so far, so that long values cost no more than twice."""
        if self._ended:
            return False
        rest = self._text[self._at :]
        if len(rest) > MAX_ROW_BYTES:
            raise ValueError("The value is longer than 64 MiB.")
        piece = self._file.read(max(_CHUNK, len(rest)))
        self._ended = not piece
        self._text = rest + self._utf8.decode(piece, final=self._ended)
        self._at = 0
        return bool(piece)


def refuse_utf16(file: BinaryIO, path: Path) -> None:
    """Say so when a file is UTF-16: as UTF-8 it would only look broken.

    Raises:
        DataError: It is.
    """
    start = file.read(2)
    file.seek(0)
    if start in _UTF16:
        raise DataError("The file is UTF-16 text; expected UTF-8.", file=path, line=1, hint="Save it as UTF-8.")


def _skip_line(file: BinaryIO) -> None:
    while (piece := file.readline(_CHUNK)) and not piece.endswith(b"\n"):
        pass


def _bad_json(error: Exception, text: bytes, path: Path, line: int) -> DataError:
    if isinstance(error, UnicodeDecodeError):
        return DataError(f"The line is not UTF-8 text (byte {error.start + 1}).", file=path, line=line)
    if isinstance(error, RecursionError):
        return DataError("The value is nested too deeply.", file=path, line=line)
    if isinstance(error, json.JSONDecodeError):
        # A line that breaks off breaks after its end, which is no new line.
        column = f" at column {min(error.pos, len(error.doc.rstrip())) + 1}" if text else ""
        return DataError(
            f"Expected a JSON object, found text that is not JSON: {error.msg}{column}.",
            file=path,
            line=line,
            hint="Correct the line, or leave such rows out with --on-bad-row skip.",
        )
    return DataError(str(error), file=path, line=line)


def _broken_array(sign: str, path: Path, line: int) -> DataError:
    found = f"found {sign!r}" if sign else "the file ends"
    return DataError(f"Expected ',' or ']' after an element of the array, {found}.", file=path, line=line)


def _not_an_object(values: object, path: Path, line: int) -> DataError:
    words = {list: "an array", str: "text", int: "a number", float: "a number", bool: "a boolean"}
    found = words.get(type(values), "null")
    return DataError(
        f"Expected a JSON object with a value for each column, found {found}.",
        file=path,
        line=line,
        hint="Correct the line, or leave such rows out with --on-bad-row skip.",
    )
