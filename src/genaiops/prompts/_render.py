"""Jinja templates, sandboxed, as prompt flow renders them."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, MutableMapping
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genaiops.errors import FlowDefinitionError
from genaiops.prompts._errors import PromptError

if TYPE_CHECKING:
    from jinja2 import Template
    from jinja2.sandbox import SandboxedEnvironment

MAX_CHARACTERS = 50_000_000
MAX_SECONDS = 60.0
MAX_BITS = 100_000  # of a power that a template computes
_TEMPLATE_FILE = "<template>"


def render(
    template: str,
    values: Mapping[str, Any],
    *,
    guarded: Collection[str] = (),
    file: str | Path | None = None,
    first_line: int = 1,
    trim_blocks: bool = True,
    keep_trailing_newline: bool = True,
) -> str:
    """The text of a template; a variable without a value is empty text.

    >>> render("Hello {{name}}!", {"name": "you"})
    'Hello you!'

    Args:
        template: Jinja text. It runs in a sandbox: it cannot reach files, modules or private attributes.
        values: By variable name; what is no text prints as `str()` shows it.
        guarded: Variables whose text has to stay text; it comes back between marks (see `_guards`).
        file: Named in errors.
        first_line: The line of `file` on which the template starts.
        trim_blocks: Drop the line end after a block tag.
        keep_trailing_newline: Keep the last line end.

    Raises:
        PromptError: The template is broken, fails, or prints without end (kind `JinjaTemplateError`).
    """
    try:
        compiled = _compile(template, frozenset(guarded), trim_blocks, keep_trailing_newline)
        return _joined(compiled.generate(values))
    except PromptError as error:
        raise PromptError(error.message, file=file, kind="JinjaTemplateError") from error
    except Exception as error:  # a template may fail with anything that its values raise
        from genaiops.prompts._guards import unguard

        raise PromptError(
            f"The template cannot be rendered: {type(error).__name__}: {unguard(str(error))}",
            file=file,
            line=_line(error, first_line),
            hint="Correct the prompt template.",
            kind="JinjaTemplateError",
            type=type(error).__name__,
        ) from error


def template_variables(template: str, *, file: str | Path | None = None, first_line: int = 1) -> frozenset[str]:
    """The names that a template reads and does not set itself.

    >>> sorted(template_variables("{% for item in rows %}{{item.a}}{{b}}{% endfor %}"))
    ['b', 'rows']

    Raises:
        FlowDefinitionError: The template is broken (kind `JinjaTemplateError`).
    """
    from jinja2 import TemplateError, meta

    try:
        tree = _environment(True, True).parse(template)
        # Compiling finds filters and tests that do not exist; parsing alone does not.
        _environment(True, True).compile(tree, raw=True)
        return frozenset(meta.find_undeclared_variables(tree))
    except TemplateError as error:
        line = getattr(error, "lineno", None)
        raise FlowDefinitionError(
            f"The template is broken: {str(error.message).rstrip('.')}.",
            file=file,
            line=line + first_line - 1 if line else None,
            kind="JinjaTemplateError",
            type=type(error).__name__,
        ) from error


def printed_variables(template: str) -> frozenset[str] | None:
    """The variables that a template prints when it does nothing else; None for a template that does more.

    >>> sorted(printed_variables("{{a}}, {{b}}"))
    ['a', 'b']
    >>> printed_variables("{{a | upper}}") is None
    True
    """
    from jinja2 import TemplateError, nodes

    try:
        tree = _environment(True, True).parse(template)
    except TemplateError:
        return None
    printed = [part for statement in tree.body for part in getattr(statement, "nodes", [statement])]
    if not all(isinstance(part, nodes.Name | nodes.TemplateData) for part in printed):
        return None
    return frozenset(part.name for part in printed if isinstance(part, nodes.Name))


@lru_cache(maxsize=512)
def _compile(template: str, guarded: frozenset[str], trim_blocks: bool, keep_trailing_newline: bool) -> Template:
    environment = _environment(trim_blocks, keep_trailing_newline)
    if not guarded:
        return environment.from_string(template)
    from genaiops.prompts._taint import guard_template

    return environment.from_string(guard_template(environment.parse(template), guarded))


@cache
def _environment(trim_blocks: bool, keep_trailing_newline: bool) -> SandboxedEnvironment:
    from genaiops.prompts import _guards
    from genaiops.prompts._taint import GUARD_FILTER, MIXED_FILTER, ROLE_FILTER

    environment = _sandbox()(trim_blocks=trim_blocks, keep_trailing_newline=keep_trailing_newline)
    environment.filters |= {
        GUARD_FILTER: _guards.guard_value,
        MIXED_FILTER: _guards.guard_mixed,
        ROLE_FILTER: _guards.guard_role,
    }
    return environment


@cache
def _sandbox() -> Callable[..., SandboxedEnvironment]:
    from jinja2.sandbox import SandboxedEnvironment

    class BoundedEnvironment(SandboxedEnvironment):
        """A sandbox in which `"a" * 10**10` and `9**9**9` fail instead of taking the machine."""

        intercepted_binops = frozenset({"*", "**"})

        def make_globals(self, d: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:
            # Copied for each rendering, which a plain dict does ten times as fast as the chain that Jinja makes.
            return {**self.globals, **(d or {})}

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            are_whole = isinstance(left, int) and isinstance(right, int)
            if operator == "**" and are_whole and left.bit_length() * right > MAX_BITS:
                raise OverflowError(f"an exponent of {right} is too large for a template")
            if operator == "*":
                for repeated, times in ((left, right), (right, left)):
                    is_sized = isinstance(repeated, str | bytes | list | tuple)
                    if is_sized and isinstance(times, int) and len(repeated) * times > MAX_CHARACTERS:
                        raise OverflowError("the repeated value is too large for a template")
            return super().call_binop(context, operator, left, right)

    return BoundedEnvironment


def _joined(parts: Iterator[str]) -> str:
    """The parts of a rendered template in one; bounded, because a template may loop for very long."""
    deadline = time.monotonic() + MAX_SECONDS
    kept: list[str] = []
    size = 0
    for number, part in enumerate(parts):
        size += len(part)
        if size > MAX_CHARACTERS:
            raise PromptError(f"The template prints more than {MAX_CHARACTERS:,} characters.")
        if number % 1024 == 1023 and time.monotonic() > deadline:
            raise PromptError(f"The template takes longer than {MAX_SECONDS:.0f} seconds.")
        kept.append(part)
    return "".join(kept)


def _line(error: BaseException, first_line: int) -> int | None:
    """The line of the template, or of the file that holds it, at which it failed."""
    from jinja2 import TemplateSyntaxError

    if isinstance(error, TemplateSyntaxError):
        return error.lineno + first_line - 1
    found = None
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == _TEMPLATE_FILE:
            found = traceback.tb_lineno + first_line - 1
        traceback = traceback.tb_next
    return found
