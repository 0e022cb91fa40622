"""What holds for any input of the format's parsers: references, roles, mappings, templates."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from jinja2.sandbox import SandboxedEnvironment

from genaiops.flows import parse_reference
from genaiops.prompts import parse_roles, render
from genaiops.runs._mapping import InputShape, plan_mapping

ROLES = ("system", "user", "assistant")
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_ -]{0,10}", fullmatch=True)
# Characters of which markers, tags and references are made, so that accidents are likely.
text = st.text(st.sampled_from("ab :#\n\t{}$%.x'\"[]0-_"), max_size=40)


@given(name=names, path=st.from_regex(r"[a-z]+(\.[a-z]+|\[[0-9]\]|\['[a-z ]+'\])*", fullmatch=True))
def test_a_reference_says_what_was_written(name: str, path: str) -> None:
    reference = parse_reference(f"${{{name}.output.{path}}}")

    assert reference is not None
    expected = ("input", f"output.{path}") if name in ("inputs", "flow") else ("node", name)
    assert (reference.kind, reference.name) == expected
    if reference.kind == "node":
        assert (reference.section, reference.path) == ("output", path)
        assert str(reference) == f"${{{name}.output.{path}}}"


@given(before=text, after=text)
def test_text_beside_braces_makes_no_reference(before: str, after: str) -> None:
    written = f"{before}${{a.output}}{after}"

    is_whole = written.startswith("${") and written.endswith("}")
    assert (parse_reference(written) is not None) == is_whole


@given(
    st.lists(
        st.tuples(st.sampled_from(ROLES), st.text(st.sampled_from("ab x.,\n"), max_size=20)), min_size=1, max_size=6
    ),
    st.sampled_from(["", "# ", "  "]),
)
def test_sections_that_are_written_are_the_messages_that_are_read(sections: list[tuple[str, str]], mark: str) -> None:
    written = "".join(f"{mark}{role}:\n{content}\n" for role, content in sections)

    assert parse_roles(written) == [{"role": role, "content": content.strip()} for role, content in sections]


@given(
    values=st.dictionaries(names, st.integers(), min_size=1, max_size=5), literal=st.one_of(st.integers(), st.none())
)
def test_a_mapping_gives_each_input_its_column_and_keeps_literals(values: dict[str, int], literal: Any) -> None:
    inputs = {f"in_{index}": InputShape("object") for index in range(len(values))} | {"fixed": InputShape("object")}
    written: dict[str, Any] = {f"in_{index}": f"${{data.{column}}}" for index, column in enumerate(values)}

    plan = plan_mapping({**written, "fixed": literal}, inputs=inputs, columns={"data": list(values)})

    expected = {f"in_{index}": value for index, value in enumerate(values.values())}
    assert plan.apply({"data": values}) == {**expected, "fixed": literal}


PIECES = st.sampled_from(
    ["{{a}}", "{{ b }}", "{% if a %}", "{% endif %}", "{% for i in b %}", "{{i}}", "{% endfor %}", "{# c #}", "\n",
     "x ", "{{a|upper}}", "{%- if b -%}", "{{b[0]}}", "{{nobody}}"]
)  # fmt: skip


@given(pieces=st.lists(PIECES, max_size=12), a=st.text("ab<&\n", max_size=5), b=st.lists(st.integers(), max_size=3))
def test_a_template_renders_as_jinja_itself_does_with_prompt_flows_options(
    pieces: list[str], a: str, b: list[int]
) -> None:
    template = "".join(pieces)
    plain = SandboxedEnvironment(trim_blocks=True, keep_trailing_newline=True)

    def outcome(call: Any) -> str:
        try:
            return str(call())
        except Exception:
            return "an error"

    expected = outcome(lambda: plain.from_string(template).render(a=a, b=b))
    assert outcome(lambda: render(template, {"a": a, "b": b})) == expected
