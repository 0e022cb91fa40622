"""Server-sent events by the HTML standard, section 9.2.6."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from genaiops.connections._events import EventData

LINE_ENDS = ["\n", "\r\n", "\r"]
# Any text that a server may put into one line.
LINES = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=20)


def read(stream: bytes) -> list[str]:
    return EventData().feed(stream)


def test_the_examples_of_the_standard() -> None:
    assert read(b"data: YHOO\ndata: +2\ndata: 10\n\n") == ["YHOO\n+2\n10"]
    assert read(b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n") == [
        "first event",
        "second event",
        " third event",
    ]
    assert read(b"data\n\ndata\ndata\n\ndata:") == ["", "\n"]
    assert read(b"data:test\n\ndata: test\n\n") == ["test", "test"]


def test_a_byte_order_mark_belongs_to_no_field() -> None:
    assert read("\ufeffdata: one\n\n".encode()) == ["one"]


@given(
    events=st.lists(st.lists(LINES, min_size=1, max_size=3), max_size=5),
    ends=st.lists(st.sampled_from(LINE_ENDS), min_size=1, max_size=7),
    cuts=st.lists(st.integers(1, 9), min_size=1, max_size=7),
)
def test_events_are_the_same_however_their_bytes_are_cut_and_their_lines_end(
    events: list[list[str]], ends: list[str], cuts: list[int]
) -> None:
    lines = [line for event in events for line in (*(f"data: {text}" for text in event), "")]
    # A carriage return followed by an empty line that a line feed ends would be one line end and not two.
    ends = ends if "\r" not in ends else ["\r"]
    stream = "".join(line + ends[place % len(ends)] for place, line in enumerate(lines)).encode() + b": end\n"
    reader, found, place = EventData(), list[str](), 0
    while place < len(stream):
        size = cuts[place % len(cuts)]
        found += reader.feed(stream[place : place + size])
        place += size

    assert found == ["\n".join(event) for event in events]
