"""Everything that is wrong with a use case, collected so that a person reads it all at once."""

from __future__ import annotations

from dataclasses import dataclass, field

from genaiops.errors import GenaiopsError, SettingsError
from genaiops.experiments._spec import Place
from genaiops.flows import Finding


@dataclass
class Problems:
    """A list of findings that can end in one error."""

    findings: list[Finding] = field(default_factory=list)

    def error(self, code: str, message: str, place: Place, hint: str | None = None) -> None:
        """The use case cannot run."""
        self._add("error", code, message, place, hint)

    def warning(self, code: str, message: str, place: Place, hint: str | None = None) -> None:
        """The use case runs, and somebody should know."""
        self._add("warning", code, message, place, hint)

    def caught(self, error: GenaiopsError, place: Place) -> None:
        """An error that another room raised, as a finding."""
        where = Place(file=place.file, line=place.line) if error.file is None else None
        self.findings.append(
            Finding(
                severity="error",
                code=error.kind,
                file=str(where.file) if where else error.file,
                line=where.line if where else error.line,
                message=error.message,
                hint=error.hint,
                node=error.node,
            )
        )

    @property
    def errors(self) -> list[Finding]:
        """The findings that stop everything."""
        return [finding for finding in self.findings if finding.severity == "error"]

    def raise_errors(self) -> None:
        """One error that names the first problem's place and tells all of them.

        Raises:
            SettingsError: When there is an error among the findings.
        """
        errors = self.errors
        if not errors:
            return
        # A key that nobody reads is often why something else is not there.
        first, *others = [*errors, *(f for f in self.findings if f.code == "unknown-key" and f not in errors)]
        more = "".join(f"\n  {f.file}:{f.line}: {f.message}{' ' + f.hint if f.hint else ''}" for f in others)
        hint = first.hint if not others else None
        message = first.message if not others else f"{first.message} {first.hint or ''}".rstrip() + more
        raise SettingsError(message, file=first.file, line=first.line, hint=hint, kind=first.code)

    def _add(self, severity: str, code: str, message: str, place: Place, hint: str | None) -> None:
        self.findings.append(
            Finding(
                severity="error" if severity == "error" else "warning",
                code=code,
                file=str(place.file),
                line=place.line,
                message=message,
                hint=hint,
            )
        )
