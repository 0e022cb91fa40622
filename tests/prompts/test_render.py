"""Templates: what prompt flow's options print, and what the sandbox refuses."""

from __future__ import annotations

import time
from typing import Any

import pytest

from genaiops.errors import FlowDefinitionError
from genaiops.prompts import Image, PromptError, render, template_variables


@pytest.mark.parametrize(
    ("template", "values", "text"),
    [
        ("a\n", {}, "a\n"),
        ("{% if true %}\na\n{% endif %}\nb", {}, "a\nb"),
        ("{{missing}}|{{none}}|{{n}}|{{d}}", {"none": None, "n": 4, "d": {"a": [1]}}, "|None|4|{'a': [1]}"),
        ("{{html}}", {"html": "<b>&"}, "<b>&"),
        ("{{image}}", {"image": Image(b"GIF89a")}, "Image(25c9b37a)"),
    ],
)
def test_templates_print_what_prompt_flow_prints(template: str, values: dict[str, Any], text: str) -> None:
    assert render(template, values) == text


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ x.__init__.__globals__ }}",
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ 'a' * 10 ** 10 }}",
        "{{ 9 ** 9 ** 9 ** 9 ** 9 ** 9 ** 9 }}",
        "{% for i in range(10 ** 9) %}x{% endfor %}",
        "{{ x.y.z }}",
        "{{ 1 / 0 }}",
        "{{ x",
    ],
)
def test_what_fails_or_reaches_out_is_refused_soon(template: str) -> None:
    start = time.process_time()

    with pytest.raises(PromptError) as caught:
        render(template, {"x": "text"})

    assert caught.value.kind == "JinjaTemplateError"
    assert time.process_time() - start < 5


def test_a_failure_names_file_and_line() -> None:
    with pytest.raises(PromptError) as caught:
        render("a\n{% if true %}\n{{ x.y.z }}\n{% endif %}", {}, file="p.jinja2", first_line=10)

    assert (caught.value.file, caught.value.line, caught.value.type) == ("p.jinja2", 12, "UndefinedError")


def test_endless_output_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genaiops.prompts._render.MAX_CHARACTERS", 1000)

    with pytest.raises(PromptError, match="more than 1,000 characters"):
        render("{% for i in range(90000) %}x{% endfor %}", {})


def test_variables_are_those_the_template_does_not_set() -> None:
    assert template_variables("{% set a = b %}{{a}}{% for c in d %}{{c}}{{loop.index}}{% endfor %}") == {"b", "d"}


def test_a_broken_template_names_its_line() -> None:
    with pytest.raises(FlowDefinitionError) as caught:
        template_variables("a\n{% for %}", file="p.jinja2", first_line=5)

    assert (caught.value.kind, caught.value.file, caught.value.line) == ("JinjaTemplateError", "p.jinja2", 6)


def test_loading_the_room_loads_no_heavy_package() -> None:
    import subprocess
    import sys

    code = "import sys, genaiops.prompts, genaiops.prompts.tools; print([m for m in sys.argv[1:] if m in sys.modules])"
    heavy = ["jinja2", "openai", "ruamel.yaml", "asyncio", "tiktoken", "urllib.request", "genaiops.connections"]

    found = subprocess.run([sys.executable, "-c", code, *heavy], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"
