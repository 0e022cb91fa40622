"""Spans to a back-end: OTLP over HTTP, as JSON; as protobuf when `OTEL_EXPORTER_OTLP_PROTOCOL` asks for it.

Source:
    OpenTelemetry protocol exporter, the variables and their defaults.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from genaiops.errors import GenaiopsError, MissingExtraError

_HEX_IDS = ("traceId", "spanId", "parentSpanId")


def otlp_endpoint(environ: Mapping[str, str]) -> str | None:
    """Where the variables say that spans go; None when they do not.

    >>> otlp_endpoint({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318/"})
    'http://localhost:4318/v1/traces'
    """
    base = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    return environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or (f"{base.rstrip('/')}/v1/traces" if base else None)


def export_otlp(request: bytes, environ: Mapping[str, str]) -> None:
    """Send what `spans_to_otlp_json` gave.

    Raises:
        GenaiopsError: The back-end cannot be reached or does not take it.
        MissingExtraError: Protobuf is asked for and the extra `otlp` is not installed.
    """
    # Most processes send nothing, and this takes as long to import as all the rest of the room.
    import urllib.error
    import urllib.request

    endpoint = otlp_endpoint(environ)
    if endpoint is None or urlsplit(endpoint).scheme not in ("http", "https"):
        raise GenaiopsError(f"{endpoint!r} is no address that spans can be sent to.", kind="TraceExportError")
    is_protobuf = _setting(environ, "PROTOCOL") == "http/protobuf"
    headers = dict(_headers(_setting(environ, "HEADERS") or ""))
    headers["Content-Type"] = "application/x-protobuf" if is_protobuf else "application/json"
    body = _to_protobuf(request) if is_protobuf else request
    timeout_s = float(_setting(environ, "TIMEOUT") or 10_000) / 1000
    asked = urllib.request.Request(endpoint, data=body, headers=headers, method="POST")  # noqa: S310 - checked above
    try:
        with urllib.request.urlopen(asked, timeout=timeout_s):  # noqa: S310 - checked above
            return
    except urllib.error.HTTPError as error:
        raise GenaiopsError(f"{endpoint} answered {error.code} {error.reason}.", kind="TraceExportError") from error
    except OSError as error:
        why = getattr(error, "reason", None) or error
        raise GenaiopsError(f"{endpoint} cannot be reached: {why}.", kind="TraceExportError") from error


def _setting(environ: Mapping[str, str], name: str) -> str | None:
    return environ.get(f"OTEL_EXPORTER_OTLP_TRACES_{name}") or environ.get(f"OTEL_EXPORTER_OTLP_{name}")


def _headers(text: str) -> Iterable[tuple[str, str]]:
    for pair in text.split(","):
        key, found, value = pair.partition("=")
        if found:
            yield key.strip(), unquote(value.strip())


def _to_protobuf(request: bytes) -> bytes:
    try:
        from google.protobuf.json_format import ParseDict
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    except ImportError as error:
        raise MissingExtraError("opentelemetry-proto", extra="otlp", purpose="to send traces as protobuf") from error
    form: dict[str, Any] = json.loads(request)
    for resource in form["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                # OTLP/JSON writes ids in hexadecimal, the JSON form of protobuf in base64.
                span |= {key: base64.b64encode(bytes.fromhex(span[key])).decode() for key in _HEX_IDS if key in span}
    return bytes(ParseDict(form, ExportTraceServiceRequest()).SerializeToString())
