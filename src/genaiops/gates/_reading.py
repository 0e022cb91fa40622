"""The `gate:` block as it is written, turned into a policy; every mistake names its line."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from math import isfinite
from pathlib import Path
from typing import Any, Final

from genaiops.errors import SettingsError, suggest
from genaiops.gates._policy import MetricPolicy, Policy, SegmentPolicy

LineOf = Callable[..., int | None]

_CRITERION: Final = re.compile(r"^\s*(?P<sign>>=|<=)\s*(?P<number>-?\d+(?:\.\d+)?%?)\s*$")
_ALIASES: Final = {"margin": "max_drop", "max_p95_s": "max_latency_p95_s", "max_failed": "max_failed_rows"}
_POLICY_KEYS: Final = tuple(f.name for f in fields(Policy) if f.name not in ("file", "limits"))
_METRIC_KEYS: Final = tuple(f.name for f in fields(MetricPolicy) if f.name != "metric")
_SEGMENT_KEYS: Final = tuple(f.name for f in fields(SegmentPolicy))
_DEFAULTS: Final = ("judge", "on_cannot_tell", "min_rows", "segments")


def read_policy(block: Mapping[str, Any], *, file: Path | None = None, line_of: LineOf | None = None) -> Policy:
    """Check the `gate:` block and fill in its defaults.

    Args:
        block: The block as read from YAML. `judge`, `on_cannot_tell`, `min_rows` and `segments` beside `metrics` hold
            for all metrics. A metric is a mapping, a number (its floor) or a text such as ">= 0.8".
        file: The file that it stands in.
        line_of: From the keys inside the block to a line of the file.

    Raises:
        SettingsError: An unknown key, a value out of range, or a gate that demands nothing.

    Example:
        >>> policy = read_policy({"metrics": {"accuracy": {"min": 0.8, "max_drop": 0.02}}})
        >>> policy.metrics[0].min, policy.metrics[0].max_drop
        (0.8, 0.02)
    """
    reader = PolicyReader(file, line_of)
    policy = reader.policy(block, (*_POLICY_KEYS, *_DEFAULTS))
    if not policy.metrics and not policy.limits:
        raise reader.error("The gate demands nothing, so nothing could fail.", (), 'Name a metric: "metrics: …".')
    return policy


class PolicyReader:
    """Knows where it reads, so that each complaint has a place.

    Args:
        file: The file that the block stands in.
        line_of: From the keys inside the block to a line of the file.
        block: What the block is called.
    """

    def __init__(self, file: Path | None, line_of: LineOf | None, *, block: str = "gate") -> None:
        self.file = file
        self.line_of = line_of or (lambda *_: None)
        self.block = block

    def policy(self, block: Mapping[str, Any], keys: Sequence[str]) -> Policy:
        written = self.known(block, keys, ())
        shared: dict[str, Any] = {key: written.pop(key) for key in _DEFAULTS if key in written}
        metrics = self.metrics(written.pop("metrics", None) or {}, shared)
        limits = {key: value for key, value in written.items() if value is not None and key in _POLICY_KEYS}
        for key in ("max_failed_rows", "max_unscored_rows", "level"):
            if key in limits:
                limits[key] = self.share(limits[key], (key,))
        for key in ("max_cost_usd", "max_cost_per_row_usd", "max_latency_p95_s"):
            if key in limits:
                limits[key] = self.amount(limits[key], (key,))
        named = tuple(sorted(limits.keys() - {"baseline", "candidate", "level", "confirm"}))
        for key in ("baseline", "candidate"):
            if key in limits:
                limits[key] = str(limits[key])
        return Policy(metrics=metrics, file=self.file, limits=named, **limits)

    def metrics(self, block: Any, shared: Mapping[str, Any]) -> tuple[MetricPolicy, ...]:
        if not isinstance(block, Mapping):
            raise self.error(
                f"`metrics` is a mapping from a metric to what is demanded of it; found {_kind(block)}.",
                ("metrics",),
                "Write for example: metrics: {accuracy: {min: 0.8}}.",
            )
        return tuple(self.metric(str(name), body, shared) for name, body in block.items())

    def metric(self, name: str, body: Any, shared: Mapping[str, Any]) -> MetricPolicy:
        where = ("metrics", name)
        demands = self.demands(name, body)
        written = {**self.known(shared, _METRIC_KEYS, ()), **self.known(demands, _METRIC_KEYS, where)}
        if "segments" in written:
            written["segments"] = self.segments(written["segments"], (*where, "segments"))
        for key in ("min", "max"):
            if key in written:
                written[key] = self.number(written[key], (*where, key))
        if "max_drop" in written:
            written["max_drop"] = self.amount(written["max_drop"], (*where, "max_drop"))
        if "min_rows" in written:
            written["min_rows"] = self.count(written["min_rows"], (*where, "min_rows"))
        for key, choices in (
            ("judge", ("interval", "mean")),
            ("require", ("better", "not worse")),
            ("on_cannot_tell", ("pass", "fail")),
        ):
            if key in written:
                written[key] = self.choice(written[key], choices, (*where, key))
        evaluator, _, metric = name.rpartition(".")
        if evaluator and "evaluator" not in written:
            written["evaluator"] = evaluator
        policy = MetricPolicy(metric=metric if evaluator else name, **written)
        if not (policy.compares or policy.segments or policy.min is not None or policy.max is not None):
            raise self.error(
                f"Nothing is demanded of the metric {name!r}.", where, "Add min, max, max_drop or require."
            )
        if policy.min is not None and policy.max is not None and policy.min > policy.max:
            raise self.error(f"min {policy.min:g} of {name!r} is above its max {policy.max:g}.", (*where, "min"))
        return policy

    def demands(self, name: str, body: Any) -> Mapping[str, Any]:
        if isinstance(body, Mapping):
            return body
        if isinstance(body, (int, float)) and not isinstance(body, bool):
            return {"min": body}
        if isinstance(body, str) and (found := _CRITERION.match(body)):
            return {"min" if found["sign"] == ">=" else "max": found["number"]}
        raise self.error(
            f"What is demanded of {name!r} is not understood: {body!r}.",
            ("metrics", name),
            'Write a mapping such as {min: 0.8, max_drop: 0.02}, a number, or ">= 0.8".',
        )

    def segments(self, body: Any, where: Sequence[str]) -> SegmentPolicy | None:
        if body is None or body is False:
            return None
        if isinstance(body, str):
            body = {"columns": [body]}
        if isinstance(body, Sequence):
            body = {"columns": list(body)}
        if not isinstance(body, Mapping):
            raise self.error(f"`segments` names columns; found {_kind(body)}.", where)
        written = self.known({("columns" if k == "column" else k): v for k, v in body.items()}, _SEGMENT_KEYS, where)
        columns = written.get("columns", ())
        written["columns"] = (columns,) if isinstance(columns, str) else tuple(str(column) for column in columns)
        for key in ("min", "max"):
            if key in written:
                written[key] = self.number(written[key], (*where, key))
        if "min_rows" in written:
            written["min_rows"] = self.count(written["min_rows"], (*where, "min_rows"))
        if "judge" in written:
            written["judge"] = self.choice(written["judge"], ("interval", "mean"), (*where, "judge"))
        return SegmentPolicy(**written)

    def known(self, block: Mapping[str, Any], keys: Sequence[str], where: Sequence[str]) -> dict[str, Any]:
        if not isinstance(block, Mapping):
            raise self.error(f"Expected a mapping, found {_kind(block)}.", where)
        written: dict[str, Any] = {}
        for key, value in block.items():
            name = _ALIASES.get(str(key), str(key))
            if name not in keys:
                hint = suggest(str(key), [*keys, *(alias for alias, real in _ALIASES.items() if real in keys)])
                raise self.error(
                    f"Unknown key {str(key)!r} in {'.'.join((self.block, *where))}.", (*where, str(key)), hint
                )
            if name in written:
                raise self.error(f"{name!r} is given twice: {str(key)!r} means the same.", (*where, str(key)))
            written[name] = value
        return written

    def mapping(self, value: Any) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            raise self.error(f"{self.block!r} is a mapping; found {_kind(value)}.", ())
        return value

    def text(self, value: Any, where: Sequence[str]) -> str | None:
        if value is not None and not isinstance(value, str):
            raise self.error(f"{where[-1]!r} is a text; found {value!r}.", where)
        return value

    def number(self, value: Any, where: Sequence[str]) -> float:
        text = value.strip() if isinstance(value, str) else value
        try:
            if isinstance(text, bool):
                raise ValueError
            number = float(text[:-1]) / 100 if isinstance(text, str) and text.endswith("%") else float(text)
            if not isfinite(number):
                raise ValueError
        except (TypeError, ValueError):
            raise self.error(f"{where[-1]!r} is a number; found {value!r}.", where) from None
        return number

    def amount(self, value: Any, where: Sequence[str]) -> float:
        number = self.number(value, where)
        if number < 0:
            raise self.error(f"{where[-1]!r} is a size, 0 or more; found {value!r}.", where)
        return number

    def share(self, value: Any, where: Sequence[str]) -> float:
        number = self.number(value, where)
        if not 0 <= number <= 1:
            hint = f"Write {number / 100:g} for {number:g} %." if 1 < number <= 100 else None
            raise self.error(f"{where[-1]!r} is a share between 0 and 1; found {value!r}.", where, hint)
        return number

    def count(self, value: Any, where: Sequence[str]) -> int:
        number = self.number(value, where)
        if number < 1 or number != int(number):
            raise self.error(f"{where[-1]!r} is a number of rows, 1 or more; found {value!r}.", where)
        return int(number)

    def choice(self, value: Any, choices: Sequence[str], where: Sequence[str]) -> str:
        text = str(value).replace("_", " ")
        if text not in choices:
            raise self.error(
                f"{where[-1]!r} is {' or '.join(choices)}; found {value!r}.", where, suggest(text, choices)
            )
        return text

    def error(self, message: str, where: Sequence[str], hint: str | None = None) -> SettingsError:
        line = next((found for n in range(len(where), -1, -1) if (found := self.line_of(*where[:n]))), None)
        return SettingsError(message, file=self.file, line=line, hint=hint, kind="GatePolicyError")


def _kind(value: Any) -> str:
    names = {list: "a list", str: "a text", dict: "a mapping", type(None): "nothing", bool: "a truth value"}
    return names.get(type(value), f"{value!r}")
