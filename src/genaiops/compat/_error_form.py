"""The error form of prompt flow's files and answers, made from ours and read into ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# Codes between the root (UserError, SystemError) and the class, from prompt flow's class tree.
_BETWEEN: Mapping[str, tuple[str, ...]] = {
    "ApplyInputMappingError": ("ValidationError",),
    "BulkRunException": ("SDKError",),
    "ChatAPIInvalidRole": ("ToolValidationError",),
    "ConnectionNotFound": ("CoreError",),
    "ExceedMaxRetryTimes": ("WrappedOpenAIError",),
    "GetConnectionError": ("ValidationError", "InvalidRequest"),
    "InputMappingError": ("ValidationError",),
    "InputNotFound": ("ValidationError", "InvalidFlowRequest"),
    "InputParseError": ("ValidationError", "InvalidFlowRequest"),
    "InputTypeError": ("ValidationError", "InvalidFlowRequest"),
    "InvalidReferenceProperty": ("NodeReferenceError",),
    "JinjaTemplateError": ("CoreError",),
    "NodeCircularDependency": ("ValidationError", "InvalidFlowRequest"),
    "NodeReferenceNotFound": ("ValidationError", "InvalidFlowRequest"),
    "UnsupportedReference": ("NodeReferenceError",),
}
_SYSTEM = frozenset(
    {"InputNotFoundFromAncestorNodeOutput", "NoNodeExecutedError", "SystemErrorException", "SystemError"}
)
_DETAILS = {
    "ToolExecutionError": "ToolExecutionErrorDetails",
    "ScriptExecutionError": "FlexFlowExecutionErrorDetails",
}


def to_error_form(error: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """An error of an outcome as prompt flow writes it: code, message, innerError, additionalInfo.

    >>> to_error_form({"kind": "InputNotFound", "message": "no q"})["innerError"]["code"]
    'ValidationError'
    """
    if error is None:
        return None
    kind = str(error.get("kind") or error.get("type") or "Exception")
    message = str(error.get("message") or "")
    form: dict[str, Any] = {
        "message": message,
        "messageFormat": "",
        "messageParameters": {},
        "referenceCode": _reference_code(kind),
        "code": root_code(kind),
        "innerError": _nested([*_BETWEEN.get(kind, ()), kind]),
        "debugInfo": _debug_info(kind, message, error),
    }
    if error.get("node") and kind == "ToolExecutionError":
        form["messageFormat"] = "Execution failure in '{node_name}'."
        form["messageParameters"] = {"node_name": error["node"]}
    details = _details(kind, error)
    if details is not None:
        form["additionalInfo"] = [details]
    return form


def root_code(kind: str) -> str:
    """`UserError`, or `SystemError` for what no user can put right."""
    return "SystemError" if kind in _SYSTEM else "UserError"


def _reference_code(kind: str) -> str:
    return "Tool/__pf_main__" if kind == "ToolExecutionError" else "Executor"


def _nested(codes: Sequence[str]) -> dict[str, Any] | None:
    nested: dict[str, Any] | None = None
    for code in reversed(codes):
        nested = {"code": code, "innerError": nested}
    return nested


def _details(kind: str, error: Mapping[str, Any]) -> dict[str, Any] | None:
    if kind not in _DETAILS:
        return None
    return {
        "type": _DETAILS[kind],
        "info": {
            "type": error.get("type"),
            "message": _inner_message(error),
            "traceback": error.get("traceback") or "",
            "filename": error.get("file"),
            "lineno": error.get("line"),
            "name": error.get("node"),
        },
    }


def _inner_message(error: Mapping[str, Any]) -> str:
    """What user code raised, without `Execution failure in 'node': (Type) ` before it."""
    message = str(error.get("message") or "")
    head, found, text = message.partition(f"({error.get('type')}) ")
    return text if found and head.startswith("Execution failure") else message


def _debug_info(kind: str, message: str, error: Mapping[str, Any]) -> dict[str, Any]:
    info: dict[str, Any] = {"type": kind, "message": message, "stackTrace": "", "innerException": None}
    if error.get("traceback"):
        info["innerException"] = {
            "type": error.get("type"),
            "message": _inner_message(error),
            "stackTrace": error["traceback"],
            "innerException": None,
        }
    return info


def from_error_form(form: Mapping[str, Any] | None, *, node: str | None = None) -> dict[str, Any] | None:
    """An error that prompt flow wrote as an error of an outcome.

    >>> from_error_form({"code": "UserError", "message": "x", "innerError": {"code": "InputNotFound"}})["kind"]
    'InputNotFound'
    """
    if not form:
        return None
    kind, inner = str(form.get("code") or "SystemError"), form.get("innerError")
    while isinstance(inner, Mapping) and inner.get("code"):
        kind, inner = str(inner["code"]), inner.get("innerError")
    infos = [item.get("info") or {} for item in form.get("additionalInfo") or () if isinstance(item, Mapping)]
    details: Mapping[str, Any] = infos[0] if infos else {}
    parameters = form.get("messageParameters") or {}
    return {
        "kind": kind,
        "type": details.get("type") or kind,
        "message": str(form.get("message") or ""),
        "node": node or parameters.get("node_name"),
        "file": details.get("filename"),
        "line": details.get("lineno"),
        "hint": None,
        "traceback": details.get("traceback"),
    }


def bulk_run_error(failed: int, total: int, errors: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """`error.json` of a run: how many rows failed, the first message, and each error.

    Args:
        failed: Rows that failed; 0 when only aggregation did.
        total: Rows that ran.
        errors: `{"line_number": n, "error": form}` or `{"aggregation_node_name": name, "error": form}`.
    """
    first = str(errors[0]["error"].get("message")) if errors else ""
    message = f"Failed to run {failed}/{total} lines. First error message is: {first}" if failed else first
    return {
        "message": message,
        "messageFormat": "",
        "messageParameters": {},
        "referenceCode": "Runtime",
        "code": "UserError",
        "innerError": _nested(["SDKError", "BulkRunException"]),
        "additionalInfo": [{"type": "BulkRunErrors", "info": {"errors": list(errors)}}],
        "debugInfo": {"type": "BulkRunException", "message": message, "stackTrace": "", "innerException": None},
    }
