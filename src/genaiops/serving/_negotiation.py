"""Which form an answer takes: prompt flow's rules for the `Accept` header."""

from __future__ import annotations

from genaiops.serving._errors import RequestRefused

EVENT_STREAM = "text/event-stream"
_JSON_TYPES = frozenset({"application/json", "application/*", "*/*", ""})


def wants_stream(accept: str) -> bool:
    """Whether the client listed `text/event-stream`, alone or with others (q-values are not weighed)."""
    return EVENT_STREAM in accept and EVENT_STREAM in media_types(accept)


def media_types(accept: str) -> frozenset[str]:
    """The media types listed, without parameters."""
    return frozenset(item.partition(";")[0].strip().lower() for item in accept.split(","))


def check_acceptable(accept: str, *, has_stream: bool) -> bool:
    """Whether the answer is streamed.

    Args:
        accept: The header.
        has_stream: Whether an output of the flow is a generator.

    Raises:
        RequestRefused: The answer has none of the forms that the client takes (406).
    """
    if accept in ("", "*/*", "application/json"):
        return False
    types = media_types(accept)
    if EVENT_STREAM in types and has_stream:
        return True
    if types & _JSON_TYPES:
        return False
    offered = f"{EVENT_STREAM} or application/json" if has_stream else "application/json"
    raise RequestRefused(406, f"Media type {accept!r} in Accept header is not acceptable. Supported: {offered}.")
