"""What a use case says about a good answer: `endpoint-test.json`, read and judged."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from genaiops.errors import InputError, suggest
from genaiops.records import record

ASSERTIONS_FILE = "endpoint-test.json"


@record(frozen=True, kw_only=True)
class EndpointAssertions:
    """What `endpoint-test.json` holds.

    Args:
        outputs: Names that the answer must hold.
        max_latency_s: The longest time that is still good.
        streaming: The answer must come as server-sent events too.
        expected: Output name to rules and what each wants; see `RULES`.
    """

    outputs: tuple[str, ...] = ()
    max_latency_s: float | None = None
    streaming: bool = False
    expected: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@record(frozen=True)
class Rule:
    """One way to judge a value.

    Args:
        holds: Whether a value (left) is as wanted (right).
        wants: What may be wanted, in words.
        understands: Whether something may be wanted.
    """

    holds: Callable[[Any, Any], bool]
    wants: str
    understands: Callable[[Any], bool]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_pattern(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(re.compile(value))
    except re.error:
        return False


def _text(value: Any) -> str:
    """Texts as they are; other values as the JSON that the client sees."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


RULES: Mapping[str, Rule] = {
    "equals": Rule(lambda value, wanted: bool(value == wanted), "any value", lambda _: True),
    "one_of": Rule(
        lambda value, wanted: value in wanted,
        "a list of values",
        lambda wanted: isinstance(wanted, list) and bool(wanted),
    ),
    "contains": Rule(
        lambda value, wanted: wanted in _text(value), "a text", lambda wanted: isinstance(wanted, str) and bool(wanted)
    ),
    "matches": Rule(
        lambda value, wanted: re.search(wanted, _text(value)) is not None, "a regular expression", _is_pattern
    ),
    "min_length": Rule(
        lambda value, wanted: isinstance(value, str | list | dict) and len(value) >= wanted,
        "a whole number, at least 0",
        lambda wanted: isinstance(wanted, int) and not isinstance(wanted, bool) and wanted >= 0,
    ),
    "at_least": Rule(lambda value, wanted: _is_number(value) and value >= wanted, "a number", _is_number),
    "at_most": Rule(lambda value, wanted: _is_number(value) and value <= wanted, "a number", _is_number),
}


def read_assertions(path: Path) -> EndpointAssertions:
    """The assertions of a use case.

    Raises:
        InputError: The file cannot be read, or something in it means nothing; with its line.
    """
    try:
        text = path.read_text(encoding="utf-8")
        data = json.loads(text)
    except OSError as error:
        raise InputError(f"The assertions cannot be read: {error.strerror}.", file=path) from error
    except json.JSONDecodeError as error:
        raise InputError(f"The assertions are no JSON: {error.msg}.", file=path, line=error.lineno) from error
    return _Reader(path, text).read(data)


@record(frozen=True)
class _Reader:
    path: Path
    text: str

    def read(self, data: Any) -> EndpointAssertions:
        if not isinstance(data, dict):
            raise InputError("Expected a JSON object.", file=self.path, hint=f"Valid keys: {', '.join(_KEYS)}.")
        for key, value in data.items():
            if key not in _KEYS:
                raise self.wrong(key, f"Unknown key {key!r}.", suggest(key, _KEYS))
            wanted, understands = _KEYS[key]
            if not understands(value):
                raise self.wrong(key, f"Expected {key} to be {wanted}, found {json.dumps(value)}.")
        for output, rules in data.get("expected", {}).items():
            self.check_rules(output, rules)
        return EndpointAssertions(**{**data, "outputs": tuple(data.get("outputs", ()))})

    def check_rules(self, output: str, rules: Any) -> None:
        if not isinstance(rules, dict):
            hint = f'Write {{"{output}": {{"equals": …}}}}; rules: {", ".join(RULES)}.'
            raise self.wrong(output, f"Expected the rules of {output!r} to be an object.", hint)
        for name, wanted in rules.items():
            if name not in RULES:
                raise self.wrong(name, f"Unknown rule {name!r} for {output!r}.", suggest(name, RULES))
            if not RULES[name].understands(wanted):
                raise self.wrong(name, f"{output}: {name} wants {RULES[name].wants}, found {json.dumps(wanted)}.")

    def wrong(self, key: str, message: str, hint: str | None = None) -> InputError:
        lines = self.text.splitlines()
        line = next((number for number, line in enumerate(lines, 1) if json.dumps(key) in line), None)
        return InputError(message, file=self.path, line=line, hint=hint)


_KEYS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "outputs": (
        "a list of output names",
        lambda value: isinstance(value, list) and all(isinstance(name, str) for name in value),
    ),
    "max_latency_s": ("a number of seconds above 0", lambda value: _is_number(value) and value > 0),
    "streaming": ("true or false", lambda value: isinstance(value, bool)),
    "expected": ("an object of output names and rules", lambda value: isinstance(value, dict)),
}
