"""What a check says about a flow: mistakes and doubts, each with its place and a way out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One mistake (`error`: the flow cannot run as it is) or doubt (`warning`).

    Args:
        severity: `error` or `warning`.
        code: A short stable name, such as `unknown-node`.
        file: The file it stands in.
        line: Its line, counted from 1; `None` when the file as a whole is meant.
        message: What was found and what was expected.
        hint: What to do: the nearest valid name, the valid names, an example.
    """

    severity: Severity
    code: str
    file: str
    line: int | None
    message: str
    hint: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The published JSON form."""
        return {
            "severity": self.severity,
            "code": self.code,
            "file": self.file,
            "line": self.line,
            "message": self.message,
            "hint": self.hint,
        }

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        hint = f" {self.hint}" if self.hint else ""
        return f"{where}: {self.severity}: {self.message}{hint}"
