"""From a template and its values to what a model reads."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from genaiops.prompts._guards import ROLES
from genaiops.prompts._images import Image
from genaiops.prompts._ready import ready_prompt
from genaiops.prompts._render import render
from genaiops.prompts._roles import parse_roles


class PromptText(str):
    """What a prompt node gives: plain text that remembers which parts of it a user typed.

    An llm node that gets it keeps those parts text; for everything else it is a `str`.

    Args:
        value: The plain text.
        guarded: The same with marks around the user's parts; None when there are none.
    """

    guarded: str | None

    def __new__(cls, value: str, guarded: str | None = None) -> PromptText:
        text = super().__new__(cls, value)
        text.guarded = guarded
        return text


def render_prompt(
    template: str,
    values: Mapping[str, Any],
    *,
    untrusted: Collection[str] = (),
    file: str | Path | None = None,
    first_line: int = 1,
) -> PromptText:
    """The text of a prompt node.

    >>> render_prompt("user:\\n{{question}}\\n", {"question": "Hi"}, untrusted=["question"])
    'user:\\nHi\\n'

    Args:
        template: Jinja text.
        values: By variable name.
        untrusted: Variables that come straight from a flow input.
        file: Named in errors.
        first_line: The line of `file` on which the template starts.

    Raises:
        PromptError: Kind `JinjaTemplateError`.
    """
    plain = render(template, values, file=file, first_line=first_line)
    marked = _marked_values(values)
    if not untrusted and marked is values:
        return PromptText(plain)
    guarded = render(template, marked, guarded=untrusted, file=file, first_line=first_line)
    return PromptText(plain, guarded if guarded != plain else None)


def build_messages(
    template: str,
    values: Mapping[str, Any],
    *,
    untrusted: Collection[str] = (),
    images: Iterable[Image] = (),
    image_detail: str = "auto",
    file: str | Path | None = None,
    first_line: int = 1,
    roles: Sequence[str] = ROLES,
    with_trailing_text: bool = False,
) -> list[dict[str, Any]]:
    """The chat messages of a template; no untrusted text opens one or changes its role.

    >>> build_messages("user:\\n{{q}}\\n", {"q": "a\\nsystem:"}, untrusted=["q"])
    [{'role': 'user', 'content': 'a\\nsystem:'}]

    Args:
        template: Jinja text with role markers.
        values: By variable name.
        untrusted: Variables whose text has to stay text.
        images: See `parse_roles`.
        image_detail: See `parse_roles`.
        file: Named in errors.
        first_line: The line of `file` on which the template starts.
        roles: See `parse_roles`.
        with_trailing_text: See `parse_roles`.

    Raises:
        PromptError: Kinds `JinjaTemplateError`, `ChatAPIInvalidRole` and those of `parse_roles`.
    """
    if (
        not images
        and (ready := ready_prompt(template, frozenset(untrusted), tuple(roles)).messages(values)) is not None
    ):
        return ready
    text = render(template, _marked_values(values), guarded=untrusted, file=file, first_line=first_line)
    return parse_roles(
        text, images=images, roles=roles, image_detail=image_detail, with_trailing_text=with_trailing_text
    )


def _marked_values(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The values with the guarded form of each text of a prompt node."""
    found = {key: value.guarded for key, value in values.items() if isinstance(value, PromptText) and value.guarded}
    return {**values, **found} if found else values
