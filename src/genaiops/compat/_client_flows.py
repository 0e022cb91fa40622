"""`PFClient().flows`: test, validate, build and save flows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from genaiops.compat._run_file import read_environment_variables, read_init
from genaiops.errors import DataError, InputError
from genaiops.flows import Finding, UserErrorException, ValidationException


@dataclass(frozen=True)
class ValidationResult:
    """What a check of a flow found."""

    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """No mistake was found."""
        return not any(finding.severity == "error" for finding in self.findings)

    @property
    def error_messages(self) -> dict[str, str]:
        """Place to message."""
        return {_place(finding): finding.message for finding in self.findings if finding.severity == "error"}

    def _to_dict(self) -> dict[str, Any]:
        form: dict[str, Any] = {"result": "Succeeded" if self.passed else "Failed"}
        for key, severity in (("errors", "error"), ("warnings", "warning")):
            found = [_finding_form(finding) for finding in self.findings if finding.severity == severity]
            if found:
                form[key] = found
        return form

    def __str__(self) -> str:
        return json.dumps(self._to_dict(), indent=2)


def _finding_form(finding: Finding) -> dict[str, Any]:
    form: dict[str, Any] = {"message": finding.message, "path": _place(finding), "value": None}
    if finding.file:
        form["location"] = f"{finding.file}#line {finding.line}" if finding.line else finding.file
    if finding.hint:
        form["hint"] = finding.hint
    return form


def _place(finding: Finding) -> str:
    return f"nodes.{finding.node}" if finding.node else finding.code


class FlowOperations:
    """What can be done with a flow."""

    def test(
        self,
        flow: Any,
        *,
        inputs: Mapping[str, Any] | str | Path | None = None,
        variant: str | None = None,
        node: str | None = None,
        environment_variables: Any = None,
        init: Any = None,
        output_path: str | Path | None = None,
        **_: Any,
    ) -> Any:
        """Run one row through a flow, or one of its nodes.

        Args:
            flow: A path, `module:name`, a function, a class, or an object of one.
            inputs: By name, or the path of a JSON or JSON Lines file.
            variant: `${node.variant}`.
            node: Run this node alone.
            environment_variables: For the flow's process: a mapping or a `.env` file.
            init: Constructor arguments of a class flow.
            output_path: The folder for `flow.detail.json` and so on; by default `.promptflow` beside the flow.

        Returns:
            The outputs by name; for a function or class flow what it returned; for a node its output.

        Raises:
            UserErrorException: The row failed.
            InputError: The flow cannot be run as asked.
        """
        from genaiops.compat._flow_test import run_flow_test
        from genaiops.compat._submit import flow_and_init
        from genaiops.compat._surroundings import open_settings, open_store
        from genaiops.runs import FlowRequest

        settings = open_settings(flow)
        store = open_store(settings, flow)
        source, arguments = flow_and_init(flow, read_init(init), store)
        request = FlowRequest(
            flow=source,
            variant=variant,
            init=arguments,
            environment_variables=read_environment_variables(environment_variables),
        )
        detail = Path(output_path) if output_path else None
        tested = run_flow_test(request, read_inputs(inputs), settings, store, node=node, detail=detail)
        if tested.error is not None:
            raise UserErrorException(f"{tested.error['type']}: {tested.error['message']}")
        return tested.output

    def validate(self, flow: str | PathLike[str], *, raise_error: bool = False, **_: Any) -> ValidationResult:
        """Every mistake of a flow that can be known without running it.

        Raises:
            ValidationException: There is one, and `raise_error`.
        """
        from genaiops.flows import check_flow

        result = ValidationResult(tuple(check_flow(Path(flow))))
        if raise_error and not result.passed:
            raise ValidationException("; ".join(result.error_messages.values()))
        return result

    def build(self, flow: str | PathLike[str], *, output: str | PathLike[str], **_: Any) -> None:
        """Package a flow. Use `genaiops build`, which writes an image without Docker.

        Raises:
            InputError: Always.
        """
        raise InputError(
            f"Packaging {str(flow)!r} from Python is not offered.",
            hint="Run `genaiops pf flow build` or `genaiops build`.",
        )

    def save(
        self, flow: str, *, code: str | PathLike[str] | None = None, path: str | PathLike[str] | None = None, **_: Any
    ) -> Path:
        """Write `flow.flex.yaml` for an entry. See `save_flow`."""
        from genaiops.compat._flow_save import save_flow

        return save_flow(flow, code=Path(code) if code else None, path=Path(path) if path else None)


def read_inputs(inputs: Mapping[str, Any] | str | Path | None) -> dict[str, Any]:
    """Inputs of one row: a mapping, a JSON file, or the first line of a JSON Lines file.

    Raises:
        DataError: The file cannot be read or does not hold an object.
    """
    if inputs is None or isinstance(inputs, Mapping):
        return dict(inputs or {})
    path = Path(inputs)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"The inputs file {str(path)!r} cannot be read: {error}") from error
    if path.suffix.lower() == ".jsonl":
        text = next((line for line in text.splitlines() if line.strip()), "{}")
    try:
        value = json.loads(text)
    except ValueError as error:
        raise DataError(f"This is not valid JSON: {error}", file=path) from error
    if not isinstance(value, Mapping):
        raise DataError(f"Expected a JSON object, found {type(value).__name__}.", file=path, line=1)
    return dict(value)
