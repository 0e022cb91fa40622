"""The key of a result: a hash of all that decides it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

# Made once: `json.dumps` makes an encoder for every call that does not take its defaults.
_canonical = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode


def content_key(parts: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON of `parts`: the order of keys does not matter, every value does.

    Raises:
        TypeError: A value has no JSON form; what is not in the key must not decide the result.

    >>> content_key({"a": 1, "b": [True, None]}) == content_key({"b": [True, None], "a": 1})
    True
    >>> content_key({"a": 1}) == content_key({"a": "1"})
    False
    """
    return hashlib.sha256(_canonical(parts).encode("utf-8", "surrogatepass")).hexdigest()
