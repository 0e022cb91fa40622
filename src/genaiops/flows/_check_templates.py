"""What a Jinja template says without rendering it: whether it parses, which variables it reads, how it starts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from genaiops.errors import suggest
from genaiops.flows._check_report import Report
from genaiops.records import record

if TYPE_CHECKING:
    from jinja2 import Environment, nodes

ROLES = ("system", "user", "assistant", "function", "tool")
_MARKER = re.compile(rf"\s*#?\s*({'|'.join(ROLES)})\s*:\s*", re.IGNORECASE)
_LOOKS_LIKE_MARKER = re.compile(r"\s*#*\s*(\w+)\s*:")


@record(frozen=True, slots=True)
class Template:
    """A template that parses.

    Args:
        variables: Names it reads that it does not set itself.
        first_line: The line of the file on which the text starts, counted from 1.
    """

    text: str
    variables: frozenset[str]
    first_line: int = 1

    def line_of(self, variable: str) -> int | None:
        """The first line that names a variable inside a Jinja tag."""
        pattern = re.compile(rf"\{{[{{%][^}}]*\b{re.escape(variable)}\b")
        match = pattern.search(self.text)
        return self.text.count("\n", 0, match.end()) + self.first_line if match else None


def check_template(
    text: str, *, file: Path, report: Report, node: str | None = None, first_line: int = 1
) -> Template | None:
    """Parse a template; a mistake is reported with its line in the template and gives None."""
    from jinja2 import TemplateError, TemplateSyntaxError, meta
    from jinja2.sandbox import SandboxedEnvironment

    environment = SandboxedEnvironment(trim_blocks=True, keep_trailing_newline=True)
    try:
        tree = environment.parse(text)
    except TemplateSyntaxError as error:
        line = error.lineno + first_line - 1
        report.error(
            "JinjaTemplateError",
            f"The template is broken: {str(error.message).rstrip('.')}.",
            file=file,
            line=line,
            node=node,
            hint=_hint_for_syntax(text, error.lineno),
        )
        return None
    if not _check_filters(tree, environment, file=file, report=report, node=node, first_line=first_line):
        return None
    _check_other_templates(tree, file=file, report=report, node=node, first_line=first_line)
    try:
        return Template(text, frozenset(meta.find_undeclared_variables(tree)), first_line)
    except TemplateError as error:
        report.error(
            "JinjaTemplateError", f"The template is broken: {str(error.message).rstrip('.')}.", file=file, node=node
        )
        return None


def _hint_for_syntax(text: str, line: int) -> str | None:
    lines = text.splitlines()
    found = lines[line - 1].strip() if 0 < line <= len(lines) else ""
    return f"The line reads {found[:80]!r}." if found else "A tag or block is not closed before the end of the file."


def _check_filters(
    tree: nodes.Template, environment: Environment, *, file: Path, report: Report, node: str | None, first_line: int
) -> bool:
    """Whether Jinja has every filter and test that is used."""
    from jinja2 import nodes

    used = [("filter", f.name, f.lineno, environment.filters) for f in tree.find_all(nodes.Filter)]
    used += [("test", t.name, t.lineno, environment.tests) for t in tree.find_all(nodes.Test)]
    unknown = [use for use in used if use[1] not in use[3]]
    for word, name, line, known in unknown:
        report.error(
            "JinjaTemplateError",
            f"The template uses the {word} {name!r}, which Jinja does not have.",
            file=file,
            line=line + first_line - 1,
            node=node,
            hint=near(name, known),
        )
    return not unknown


def _check_other_templates(
    tree: nodes.Template, *, file: Path, report: Report, node: str | None, first_line: int
) -> None:
    """A template is rendered by itself, as prompt flow does it: no other one is read, so these tags fail."""
    from jinja2 import nodes

    kinds = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)
    maybe = [found for branch in tree.find_all((nodes.If, nodes.For)) for found in branch.find_all(kinds)]
    for found in tree.find_all(kinds):
        word = {"FromImport": "import"}.get(type(found).__name__, type(found).__name__.lower())
        template = getattr(found, "template", None)
        named = template.value if isinstance(template, nodes.Const) else "another template"
        tell = report.warning if any(found is other for other in maybe) else report.error
        tell(
            "JinjaTemplateError",
            f"The template cannot {word} {named!r}: templates are rendered by themselves.",
            file=file,
            line=found.lineno + first_line - 1,
            node=node,
            hint="Write the text into the template, or pass it as an input.",
        )


def near(name: str, known: Iterable[str]) -> str | None:
    """`Did you mean …?` when a name is near, else nothing."""
    hint = suggest(name, known)
    return hint if hint.startswith("Did you mean") else None


def check_roles(template: Template, *, file: Path, report: Report, node: str | None = None) -> None:
    """A chat template has to start with a role; only what is certain without rendering is reported."""
    for number, line in enumerate(template.text.splitlines(), template.first_line):
        if not line.strip():
            continue
        if "{" in line or _MARKER.fullmatch(line):
            return
        word = _LOOKS_LIKE_MARKER.match(line)
        inline = word is not None and word[1].lower() in ROLES
        hint = (
            f"Put the text after {word[1] + ':'!r} on a line of its own."
            if inline and word
            else suggest(word[1].lower(), ROLES)
            if word
            else "Begin with a line such as 'system:' or 'user:'."
        )
        report.error(
            "ChatAPIInvalidRole",
            f"A chat template has to start with a role on a line of its own, found {line.strip()[:60]!r}.",
            file=file,
            line=number,
            node=node,
            hint=hint,
        )
        return
