"""Reading prompty files: front matter, references, overrides, the newer dialect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genaiops.errors import FlowDefinitionError
from genaiops.prompts import read_prompty
from genaiops.prompts._prompty_file import split_prompty

FRONT = "---\nname: chat\nmodel:\n  configuration: {type: openai, model: m}\n  parameters: {}\n"


def write(folder: Path, text: str, name: str = "chat.prompty") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_front_matter_and_body_come_apart(tmp_path: Path) -> None:
    path = write(tmp_path, FRONT + "inputs:\n  q: {type: string}\n---\nuser:\n{{q}}\n")

    prompty = read_prompty(path, environ={})

    assert (prompty.name, prompty.api, prompty.response) == ("chat", "chat", "first")
    assert (prompty.template, prompty.first_line) == ("user:\n{{q}}\n", 9)
    assert prompty.inputs == {"q": {"type": "string"}}
    assert prompty.warnings == ()


@pytest.mark.parametrize("body", ["user:\na\n---\nb\n", "user:\n| a |\n|---|\n| --- \n", "user:\nx ---\ny"])
def test_dashes_in_the_body_stay_there_with_a_warning_where_prompt_flow_differs(tmp_path: Path, body: str) -> None:
    prompty = read_prompty(write(tmp_path, FRONT + "---\n" + body), environ={})

    assert prompty.template == body
    differs = "---\n" in body
    assert bool(prompty.warnings) is differs


@given(st.text(st.sampled_from("-\n a|"), max_size=30))
def test_the_body_is_all_after_the_second_fence(body: str) -> None:
    split = split_prompty("---\na: 1\n---\n" + body, Path("x.prompty"))

    assert (split.front, split.body, split.body_line) == ("a: 1\n", body, 4)


@pytest.mark.parametrize("text", ["", "user:\nhi", "---\nname: x\n", "no fence\n---"])
def test_a_file_without_front_matter_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(FlowDefinitionError, match="This is no prompty"):
        read_prompty(write(tmp_path, text), environ={})


def test_a_file_that_is_indented_as_a_whole_loads(tmp_path: Path) -> None:
    prompty = read_prompty(
        write(tmp_path, " ---\n  name: x\n  description: |\n    a\n  ---\n  user:\n  hi\n"), environ={}
    )

    assert (prompty.name, prompty.template) == ("x", "  user:\n  hi\n")


def test_an_indented_line_of_dashes_is_text_of_the_front_matter(tmp_path: Path) -> None:
    prompty = read_prompty(write(tmp_path, "---\ndescription: |\n  a\n  ---\n  b\n---\nuser:\nhi\n"), environ={})

    assert prompty.data["description"] == "a\n---\nb\n"


def test_broken_yaml_names_the_line_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(FlowDefinitionError) as caught:
        read_prompty(write(tmp_path, "---\nname: x\nname: y\n---\n"), environ={})

    assert caught.value.line == 3


def test_yaml_is_read_as_1_2(tmp_path: Path) -> None:
    text = "---\nmodel: {api: chat, parameters: {stop: [yes, no], n: 010}}\n---\n"

    assert read_prompty(write(tmp_path, text), environ={}).parameters == {"stop": ["yes", "no"], "n": 10}


@pytest.mark.parametrize("model", ["{api: chat}", "{api: chat, parameters: null}", "null"])
def test_parameters_may_be_left_out(tmp_path: Path, model: str) -> None:
    assert read_prompty(write(tmp_path, f"---\nmodel: {model}\n---\n"), environ={}).parameters == {}


class TestReferences:
    def read(self, folder: Path, value: str, **environ: str) -> Any:
        path = write(folder, f"---\nmodel: {{api: chat, configuration: {{list: [{value!r}]}}}}\n---\n")
        return read_prompty(path, environ=environ).configuration["list"][0]

    def test_a_variable_is_replaced(self, tmp_path: Path) -> None:
        assert self.read(tmp_path, "${env:KEY}", KEY="k") == "k"

    def test_an_unset_variable_stays_as_written(self, tmp_path: Path) -> None:
        assert self.read(tmp_path, "${env:KEY}") == "${env:KEY}"

    def test_text_after_a_reference_is_dropped_and_text_before_hides_it(self, tmp_path: Path) -> None:
        assert self.read(tmp_path, "${env:KEY}/v1", KEY="k") == "k"
        assert self.read(tmp_path, "x${env:KEY}", KEY="k") == "x${env:KEY}"

    def test_other_words_stay(self, tmp_path: Path) -> None:
        assert self.read(tmp_path, "${vault:KEY}") == "${vault:KEY}"

    @pytest.mark.parametrize(
        ("name", "content", "value"),
        [("a.json", '{"a": [1]}', {"a": [1]}), ("a.yaml", "a: yes", {"a": "yes"}), ("a.txt", "${env:X}", "${env:X}")],
    )
    def test_a_file_is_read_by_its_ending(self, tmp_path: Path, name: str, content: str, value: Any) -> None:
        write(tmp_path, content, name)

        assert self.read(tmp_path, f"${{file:{name}}}") == value

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(FlowDefinitionError, match=r"Cannot find the reference file 'no\.json'"):
            self.read(tmp_path, "${file:no.json}")

    def test_a_file_outside_the_folder_is_read_because_the_author_of_the_prompty_named_it(self, tmp_path: Path) -> None:
        write(tmp_path, '{"a": 1}', "shared.json")
        inner = tmp_path / "flow"
        inner.mkdir()
        (inner / "link.json").symlink_to(tmp_path / "shared.json")

        assert self.read(inner, "${file:../shared.json}") == {"a": 1}
        assert self.read(inner, f"${{file:{tmp_path / 'shared.json'}}}") == {"a": 1}
        assert self.read(inner, "${file:link.json}") == {"a": 1}

    @pytest.mark.parametrize("name", ["../secret.txt", "/etc/hostname", "sub/../../secret.txt", "link.txt"])
    def test_an_override_keeps_to_the_folder(self, tmp_path: Path, name: str) -> None:
        write(tmp_path, "s", "secret.txt")
        inner = tmp_path / "flow"
        inner.mkdir()
        (inner / "link.txt").symlink_to(tmp_path / "secret.txt")
        path = write(inner, FRONT + "---\nuser:\nhi\n")

        with pytest.raises(FlowDefinitionError, match="outside the folder"):
            read_prompty(path, {"model": {"configuration": {"key": f"${{file:{name}}}"}}}, environ={})

    def test_the_newer_dialect_keeps_to_the_folder(self, tmp_path: Path) -> None:
        write(tmp_path, "s", "secret.txt")
        inner = tmp_path / "flow"
        inner.mkdir()
        path = write(
            inner, "---\nmodel: {id: gpt-4o, provider: openai}\ndescription: ${file:../secret.txt}\n---\nuser:\nhi\n"
        )

        with pytest.raises(FlowDefinitionError, match="outside the folder"):
            read_prompty(path, environ={})

    def test_a_sample_file_outside_the_folder_is_read(self, tmp_path: Path) -> None:
        write(tmp_path, '{"q": "a"}', "sample.json")
        inner = tmp_path / "flow"
        inner.mkdir()

        assert read_prompty(write(inner, FRONT + "sample: ../sample.json\n---\nuser:\n{{q}}\n"), environ={}).sample == {
            "q": "a"
        }


def test_a_sample_file_that_is_missing_matters_only_where_nothing_else_declares_inputs(tmp_path: Path) -> None:
    text = FRONT + "inputs: {q: {type: string}}\nsample: no.json\n---\nuser:\n{{q}}\n"

    prompty = read_prompty(write(tmp_path, text), environ={})

    assert prompty.sample == {}
    assert "Cannot find the sample file 'no.json'." in prompty.warnings[0]


def test_a_sample_file_that_is_no_json_is_named_with_its_line(tmp_path: Path) -> None:
    sample = write(tmp_path, '{\n  "q": "a"\n  "r": 1\n}\n', "sample.json")

    with pytest.raises(FlowDefinitionError, match="no JSON") as caught:
        read_prompty(write(tmp_path, FRONT + "sample: sample.json\n---\nuser:\n{{q}}\n"), environ={})

    assert (caught.value.file, caught.value.line) == (str(sample), 3)


def test_overrides_are_merged_and_win(tmp_path: Path) -> None:
    path = write(tmp_path, FRONT + "inputs: {q: {type: string}}\n---\n")
    override = {
        "model": {"parameters": {"max_tokens": 10}, "configuration": {"model": "${env:M}"}, "response": "all"},
        "inputs": {"q": {"default": "d"}, "r": {"type": "int"}},
    }

    prompty = read_prompty(path, override, environ={"M": "n"})

    assert prompty.configuration == {"type": "openai", "model": "n"}
    assert (prompty.parameters, prompty.response) == ({"max_tokens": 10}, "all")
    assert prompty.inputs == {"q": {"type": "string", "default": "d"}, "r": {"type": "int"}}


@pytest.mark.parametrize("sample", ["{q: 1}", "s.json", "file:s.json", '"${file:s.json}"'])
def test_a_sample_is_a_mapping_or_a_file(tmp_path: Path, sample: str) -> None:
    write(tmp_path, '{"q": 1}', "s.json")

    prompty = read_prompty(write(tmp_path, FRONT + f"sample: {sample}\n---\n"), environ={})

    assert prompty.sample == {"q": 1}
    assert prompty.inputs == {"q": {"type": "int"}}


@pytest.mark.parametrize("sample", ["no.json", "s.txt", "[1]", "../no.json"])
def test_a_sample_that_is_neither_is_refused(tmp_path: Path, sample: str) -> None:
    write(tmp_path, '{"q": 1}', "s.json")
    inner = tmp_path / "flow"
    inner.mkdir()

    with pytest.raises(FlowDefinitionError) as caught:
        read_prompty(write(inner, FRONT + f"sample: {sample}\n---\n"), environ={})

    assert caught.value.kind == "InvalidSampleError"


SECOND = """---
name: newer
model:
  id: gpt-4o
  provider: azure
  connection: {kind: key, endpoint: "${env:ENDPOINT:https://d}", apiKey: "${env:KEY}"}
  options: {temperature: 0.5, maxOutputTokens: 10, topK: 4, additionalProperties: {min_p: 0.1}}
inputs:
  - {name: q, kind: string, required: true, example: hi}
  - {name: n, kind: integer, default: 3}
  - {name: o, kind: string, required: false}
tools:
  - {kind: function, name: f, parameters: [{name: a, kind: integer, required: true}]}
template: {format: {kind: jinja2}, parser: {kind: prompty}}
---
Be kind.
developer:
More.
user:
{{q}}
"""


class TestSecondDialect:
    def test_what_means_the_same_is_translated(self, tmp_path: Path) -> None:
        prompty = read_prompty(write(tmp_path, SECOND), environ={"KEY": "k"})

        assert prompty.dialect == 2
        assert prompty.configuration == {
            "type": "azure_openai",
            "azure_deployment": "gpt-4o",
            "azure_endpoint": "https://d",
            "api_key": "k",
        }
        assert prompty.parameters == {
            "temperature": 0.5,
            "max_tokens": 10,
            "min_p": 0.1,
            "tools": [
                {
                    "type": "function",
                    "function": {
                        "name": "f",
                        "description": "",
                        "parameters": {
                            "type": "object",
                            "properties": {"a": {"type": "integer", "description": ""}},
                            "required": ["a"],
                        },
                    },
                }
            ],
        }
        assert prompty.inputs == {
            "q": {"type": "string"},
            "n": {"type": "int", "default": 3},
            "o": {"type": "string", "default": None},
        }
        assert prompty.sample == {"q": "hi"}
        assert prompty.template.startswith("system:\nBe kind.")
        assert any("topK" in warning for warning in prompty.warnings)

    def test_an_unset_variable_without_default_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(FlowDefinitionError, match="'KEY' is not set"):
            read_prompty(write(tmp_path, SECOND), environ={})

    def test_a_bare_name_is_a_model(self, tmp_path: Path) -> None:
        prompty = read_prompty(write(tmp_path, "---\nmodel: gpt-4\n---\nuser:\nhi\n"), environ={})

        assert prompty.configuration == {"type": "openai", "model": "gpt-4"}

    @pytest.mark.parametrize(
        ("old", "new", "named"),
        [
            ("provider: azure", "provider: anthropic", "provider 'anthropic'"),
            ("kind: key", "kind: oauth", "connection kind 'oauth'"),
            ("  id: gpt-4o", "  id: x\n  apiType: image", "apiType 'image'"),
            ("kind: jinja2", "kind: mustache", "template format 'mustache'"),
            ("{name: n, kind: integer, default: 3}", "{name: n, kind: thread}", "kind 'thread'"),
            ("kind: function", "kind: mcp", "kind 'mcp'"),
            ("user:\n", 'user[name="A"]:\n', "attributes on a role"),
        ],
    )
    def test_what_differs_is_refused_by_name(self, tmp_path: Path, old: str, new: str, named: str) -> None:
        assert old in SECOND
        with pytest.raises(FlowDefinitionError, match=r"2\.x") as caught:
            read_prompty(write(tmp_path, SECOND.replace(old, new)), environ={"KEY": "k"})

        assert named in str(caught.value)
