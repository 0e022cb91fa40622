"""Server-sent events, as the HTML standard defines them (section 9.2.6): bytes in, the data of events out."""

from __future__ import annotations

import re

# A carriage return at the very end may be half of a line end.
_LINE_END = re.compile(rb"\r\n|\n|\r(?=[\s\S])")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class EventData:
    """The data of each event of a stream that comes in pieces of any size.

    >>> events = EventData()
    >>> events.feed(b'data: one' + bytes([10])), events.feed(b'data: two' + bytes([10, 10]))
    ([], ['one\\ntwo'])
    """

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[str] = []
        self._is_start = True

    def feed(self, piece: bytes) -> list[str]:
        """The data of the events that end in this piece; an event without data is none."""
        *lines, self._rest = _LINE_END.split(self._rest + piece)
        events: list[str] = []
        for line in lines:
            if self._is_start:
                line, self._is_start = line.removeprefix(_BYTE_ORDER_MARK), False
            if not line:
                if self._data:
                    events.append("\n".join(self._data))
                    self._data = []
                continue
            name, _, value = line.partition(b":")
            if name == b"data":
                self._data.append(value.removeprefix(b" ").decode("utf-8", "replace"))
        return events
