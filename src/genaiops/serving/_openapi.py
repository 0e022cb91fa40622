"""`/swagger.json`: what the flow takes and gives, as OpenAPI 3.0, with the extras that prompt flow's clients read."""

from __future__ import annotations

import json
from typing import Any

from genaiops.flows import InputDef
from genaiops.serving._openai import talk_shape
from genaiops.serving._service import Service

_TYPES = {
    "string": "string",
    "int": "integer",
    "double": "number",
    "bool": "boolean",
    "list": "array",
    "object": "object",
    "image": "object",
}


def describe(service: Service) -> dict[str, Any]:
    """The OpenAPI document of a served flow."""
    flow, inputs = service.flow, service.plan.signature
    properties = {name: _schema(definition) for name, definition in inputs.items()}
    required = [name for name, definition in inputs.items() if not definition.has_default]
    body: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": True}
    if required:
        body["required"] = required
    content: dict[str, Any] = {"schema": body}
    example = example_of(service)
    if example is not None:
        content["example"] = example
    info: dict[str, Any] = {
        "title": f"Promptflow[{flow.name}] API",
        "version": "1.0.0",
        "x-flow-name": flow.name,
        "x-flow-type": flow.type,
    }
    shape = talk_shape(flow, inputs)
    if shape is not None:
        info["x-chat-input"] = shape.input
        info["x-chat-history"] = shape.history
        info["x-chat-output"] = shape.output
    return {
        "openapi": "3.0.0",
        "info": info,
        "components": {"securitySchemes": {"bearerAuth": {"type": "http", "scheme": "bearer"}}},
        "security": [{"bearerAuth": []}] if service.options.api_key_digests else [{}],
        "paths": {
            "/score": {"post": _operation(f"Run {flow.name}", content, bool(required), _outputs(service))},
            "/feedback": {
                "post": _operation(
                    "Say what you think of an answer",
                    {"schema": {"type": "object"}},
                    False,
                    {"type": "object", "properties": {"status": {"type": "string"}}},
                )
            },
        },
    }


def _schema(definition: InputDef) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": _TYPES.get(definition.type, "object")}
    if schema["type"] == "array":
        schema["items"] = {}
    if definition.type not in _TYPES:
        schema = {}
    if definition.description:
        schema["description"] = definition.description
    if definition.has_default and definition.default is not None:
        schema["default"] = definition.default
    return schema


def _outputs(service: Service) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for name in service.public_outputs:
        # The declared type of an output is never enforced, so it is told and not promised.
        properties[name] = {"description": f"declared as {service.flow.outputs[name].type}", "nullable": True}
    return {"type": "object", "properties": properties} if properties else {}


def _operation(summary: str, content: dict[str, Any], required: bool, answer: dict[str, Any]) -> dict[str, Any]:
    error = {
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["error"],
                    "properties": {
                        "error": {
                            "type": "object",
                            "required": ["code", "message"],
                            "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
                        }
                    },
                }
            }
        }
    }
    statuses = {
        "400": "The request or the flow's work on it failed",
        "401": "An API key is required",
        "406": "No acceptable form of the answer",
        "408": "The body came too slowly",
        "413": "The body is too large",
        "415": "The body is neither JSON nor text",
        "429": "The server is busy",
        "503": "The server is shutting down",
        "504": "No answer in time",
    }
    return {
        "summary": summary,
        "requestBody": {"required": required, "content": {"application/json": content}},
        "responses": {
            "200": {"description": "Done", "content": {"application/json": {"schema": answer}}},
            **{status: {"description": text, **error} for status, text in statuses.items()},
            "default": {"description": "Unexpected error", **error},
        },
    }


def example_of(service: Service) -> Any:
    """Inputs to try: the first of `samples.json` beside the flow, or the flow's own sample; None without one."""
    samples = service.flow.home / "samples.json"
    if samples.is_file():
        try:
            data = json.loads(samples.read_text(encoding="utf-8"))
        except ValueError:
            return None
        return data[0] if isinstance(data, list) and data else None
    sample = service.flow.sample.get("inputs") if service.flow.sample else None
    return dict(sample) if isinstance(sample, dict) else None
