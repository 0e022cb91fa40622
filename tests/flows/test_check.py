"""Checks of flows: every mistake at once, each with its file, its line and the nearest valid name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest

from genaiops.errors import FlowDefinitionError
from genaiops.flows import Finding, check_flow, load_flow

GRAPH = """\
inputs:
  question: {type: string, default: hi}
outputs:
  answer: {type: string, reference: "${shout.output}"}
nodes:
- name: clean
  type: python
  source: {type: code, path: clean.py}
  inputs: {text: "${inputs.question}"}
- name: shout
  type: python
  source: {type: code, path: shout.py}
  inputs: {text: "${clean.output}"}
"""
TOOL = (
    "from promptflow.core import tool\n\n\n@tool\ndef run(text: str, times: int = 1) -> str:\n    return text * times\n"
)


def write(folder: Path, **files: str) -> Path:
    """Write files, `flow_dag_yaml` for `flow.dag.yaml`, and return the folder."""
    for name, text in {"clean_py": TOOL, "shout_py": TOOL, **files}.items():
        stem, _, suffix = name.replace("flow_dag", "flow.dag").replace("flow_flex", "flow.flex").rpartition("_")
        (folder / f"{stem}.{suffix}").write_text(dedent(text), encoding="utf-8")
    return folder


def errors(folder: Path, **options: object) -> list[Finding]:
    return [f for f in check_flow(folder, **options) if f.severity == "error"]  # type: ignore[arg-type]


def only_error(folder: Path, **options: object) -> Finding:
    found = errors(folder, **options)
    assert len(found) == 1, [f.message for f in found]
    return found[0]


def place(finding: Finding) -> tuple[str, int | None]:
    assert finding.file is not None
    return Path(finding.file).name, finding.line


def test_an_output_of_the_flow_that_reads_another_section_is_a_doubt(tmp_path: Path) -> None:
    folder = write(tmp_path, flow_dag_yaml=GRAPH.replace("${shout.output}", "${shout.outputs.answer}"))

    (found,) = check_flow(folder)

    assert (found.severity, found.code, found.line) == ("warning", "section-ignored", 4)
    assert "${shout.output.answer}" in found.message


def test_a_sound_flow_has_no_findings(tmp_path: Path) -> None:
    assert check_flow(write(tmp_path, flow_dag_yaml=GRAPH)) == []


@pytest.mark.parametrize(
    ("old", "new", "code", "line", "hint"),
    [
        ("${clean.output}", "${claen.output}", "NodeReferenceNotFound", 13, "'clean'"),
        ("${inputs.question}", "${inputs.qestion}", "InputReferenceNotFound", 9, "'question'"),
        ("${shout.output}", "${shuot.output}", "OutputReferenceNotFound", 4, "'shout'"),
        ("${shout.output}", "", "EmptyOutputReference", 4, None),
        ("${clean.output}", "${clean.result}", "UnsupportedReference", 13, "${clean.output}"),
        ("${clean.output}", "${clean.output[0]}", "UnsupportedReference", 13, "${clean.output.[0]}"),
        ("${clean.output}", "${ clean.output}", "NodeReferenceNotFound", 13, "blanks"),
        ("name: shout", "name: clean", "DuplicateNodeName", 10, None),
        ("path: shout.py", "path: shuot.py", "InvalidSource", 12, "'shout.py'"),
        ("path: shout.py", "path: ../shout.py", "InvalidSource", 12, "additional_includes"),
        ("type: string, default: hi", "type: int, default: hi", "InputTypeError", 2, None),
        ("type: string, default: hi", "type: strng", "FlowDefinitionError", 2, "'string'"),
        ("python\n  source: {type: code, path: sh", "pyhton\n  source: {type: code, path: sh", "NotImplementedError",
         11, "'python'"),
        ('{text: "${clean.output}"}', '{txt: "${clean.output}"}', "MissingRequiredInputs", 13, "'txt'"),
        ('{text: "${clean.output}"}', '{text: "${clean.output}", tmes: 2}', "unknown-argument", 13, "'times'"),
        ('{text: "${clean.output}"}', '{text: "${clean.output}", times: two}', "NodeInputValidationError", 13, None),
    ],
)  # fmt: skip
def test_each_mistake_has_its_line_and_the_nearest_name(
    tmp_path: Path, old: str, new: str, code: str, line: int, hint: str | None
) -> None:
    assert old in GRAPH
    write(tmp_path, flow_dag_yaml=GRAPH.replace(old, new, 1))

    found = next(f for f in errors(tmp_path) if f.code == code)

    assert place(found) == ("flow.dag.yaml", line)
    assert hint is None or hint in (found.hint or "")


def test_all_mistakes_come_at_once(tmp_path: Path) -> None:
    text = GRAPH.replace("${clean.output}", "${claen.output}").replace("${shout.output}", "${shuot.output}")
    write(tmp_path, flow_dag_yaml=text.replace("path: clean.py", "path: cleen.py"))

    assert {f.code for f in errors(tmp_path)} == {"NodeReferenceNotFound", "OutputReferenceNotFound", "InvalidSource"}


def test_a_cycle_names_the_nodes_in_it(tmp_path: Path) -> None:
    write(tmp_path, flow_dag_yaml=GRAPH.replace("${inputs.question}", "${shout.output}"))

    found = only_error(tmp_path)

    assert found.code == "NodeCircularDependency"
    assert "clean, shout" in found.message


def test_two_flow_files_in_a_folder_are_a_mistake_and_the_first_is_still_checked(tmp_path: Path) -> None:
    write(tmp_path, flow_dag_yaml=GRAPH.replace("${clean.output}", "${claen.output}"), flow_flex_yaml="entry: a:b\n")

    codes = {f.code for f in errors(tmp_path)}

    assert codes == {"ValidationException", "NodeReferenceNotFound"}


def test_every_duplicate_key_is_found_and_the_rest_is_still_checked(tmp_path: Path) -> None:
    text = GRAPH.replace("nodes:\n", "outputs: {}\nnodes:\n").replace("${clean.output}", "${claen.output}")
    write(tmp_path, flow_dag_yaml=text.replace("  type: python\n", "  type: python\n  type: python\n", 1))

    found = errors(tmp_path)

    assert [(f.code, f.line) for f in found if f.code == "DuplicateKeyError"] == [
        ("DuplicateKeyError", 5),
        ("DuplicateKeyError", 9),
    ]
    assert "NodeReferenceNotFound" in {f.code for f in found}


def test_broken_yaml_names_the_line(tmp_path: Path) -> None:
    write(tmp_path, flow_dag_yaml="inputs:\n  q: {type: string\nnodes: []\n")

    assert place(only_error(tmp_path))[0] == "flow.dag.yaml"
    assert only_error(tmp_path).line in (2, 3)


@pytest.mark.parametrize(
    ("source", "code", "line"),
    [
        ("def run(text):\n    return text\n", "NoToolDefined", 1),
        (TOOL + "\n\n@tool\ndef again(text):\n    return text\n", "MultipleToolsDefined", 10),
        ("from promptflow.core import tool\n\n\n@tool\ndef run(text:\n    return text\n", "PythonLoadError", 5),
    ],
)
def test_a_tool_file_has_exactly_one_tool(tmp_path: Path, source: str, code: str, line: int) -> None:
    write(tmp_path, flow_dag_yaml=GRAPH, shout_py=source)

    found = only_error(tmp_path)

    assert (found.code, place(found)) == (code, ("shout.py", line))


@pytest.mark.parametrize(
    "source",
    [
        "from genaiops.flows import tool\n\n@tool\ndef run(text): ...\n",
        "from promptflow import tool as pf_tool\n\n@pf_tool\ndef run(text): ...\n",
        "import promptflow.core as pf\n\n@pf.tool()\ndef run(text): ...\n",
        "from promptflow import core\nif True:\n    @core.tool\n    def run(**kwargs): ...\n",
        "from promptflow.core import tool\ndef body(text): ...\nrun = tool(body)\n",
        (
            "from promptflow.core import ToolProvider, tool\n"
            "class Tools(ToolProvider):\n    def __init__(self, text): ...\n    @tool\n    def run(self): ...\n"
        ),
        "from promptflow.core import tool\nfrom functools import wraps as other\n\n@tool\ndef run(text): ...\n",
    ],
)
def test_tools_are_recognised_however_they_are_spelt(tmp_path: Path, source: str) -> None:
    write(tmp_path, flow_dag_yaml=GRAPH, shout_py=source)

    assert errors(tmp_path) == []


def test_arguments_are_checked_for_tools_of_either_package(tmp_path: Path) -> None:
    write(
        tmp_path,
        flow_dag_yaml=GRAPH,
        shout_py=TOOL.replace("promptflow.core", "genaiops.flows").replace("text", "word"),
    )

    assert {f.code for f in errors(tmp_path)} == {"MissingRequiredInputs", "unknown-argument"}


LLM = """\
inputs: {question: {type: string}}
outputs: {answer: {type: string, reference: "${ask.output}"}}
nodes:
- name: ask
  type: llm
  source: {type: code, path: ask.jinja2}
  inputs: {deployment_name: gpt-4o, question: "${inputs.question}"}
  connection: chat
  api: chat
"""


def test_broken_jinja_is_reported_in_the_template(tmp_path: Path) -> None:
    write(tmp_path, flow_dag_yaml=LLM, ask_jinja2="system:\nBe brief.\n{% if question %}\nuser:\n{{question}}\n")

    found = only_error(tmp_path)

    assert found.code == "JinjaTemplateError"
    assert place(found)[0] == "ask.jinja2"


def test_an_unknown_filter_is_a_broken_template(tmp_path: Path) -> None:
    write(tmp_path, flow_dag_yaml=LLM, ask_jinja2="user:\n{{question | uper}}\n")

    found = only_error(tmp_path)

    assert (found.code, place(found)) == ("JinjaTemplateError", ("ask.jinja2", 2))
    assert "'upper'" in (found.hint or "")


def test_a_template_variable_that_no_input_gives_is_a_doubt(tmp_path: Path) -> None:
    write(tmp_path, flow_dag_yaml=LLM, ask_jinja2="user:\n{{question}}\n{{qustion}}\n")

    (found,) = check_flow(tmp_path)

    assert (found.severity, found.code, place(found)) == (
        "warning",
        "template-variable-without-input",
        ("ask.jinja2", 3),
    )


def test_a_template_variable_may_not_hide_a_parameter(tmp_path: Path) -> None:
    write(tmp_path, flow_dag_yaml=LLM, ask_jinja2="user:\n{{prompt}} {{question}}\n")

    assert only_error(tmp_path).code == "NodeInputValidationError"


def test_a_chat_template_that_starts_without_a_role_is_a_mistake(tmp_path: Path) -> None:
    write(tmp_path, flow_dag_yaml=LLM, ask_jinja2="user: hello {{question}}\n".replace(" {{question}}", ""))

    found = next(f for f in errors(tmp_path) if f.code == "ChatAPIInvalidRole")

    assert place(found) == ("ask.jinja2", 1)


class Connections:
    """A store with one connection that works and one that lacks its key."""

    def names(self) -> list[str]:
        return ["chatt", "broken"]

    def __contains__(self, name: object) -> bool:
        return name in self.names()

    def missing(self, names: Iterable[str]) -> list[Missing]:
        return [Missing("api_key", ("BROKEN_API_KEY",)) for name in names if name == "broken"]

    def check(self, name: str) -> list[str]:
        return []

    def describe(self, name: str) -> dict[str, str]:
        return {"type": "azure_open_ai"}


@dataclass(frozen=True)
class Missing:
    field: str
    variables: tuple[str, ...]


def test_an_unknown_connection_names_the_nearest(tmp_path: Path) -> None:
    write(tmp_path, flow_dag_yaml=LLM, ask_jinja2="user:\n{{question}}\n")

    found = only_error(tmp_path, connections=Connections())

    assert (found.code, place(found)) == ("ConnectionNotFoundError", ("flow.dag.yaml", 8))
    assert "'chatt'" in (found.hint or "")


def test_a_connection_put_in_place_on_the_command_line_counts(tmp_path: Path) -> None:
    write(tmp_path, flow_dag_yaml=LLM.replace("  connection: chat\n", ""), ask_jinja2="user:\n{{question}}\n")

    assert only_error(tmp_path, connections=Connections()).code == "no-connection"
    assert errors(tmp_path, connections=Connections(), replaced={"ask": "chatt"}) == []


def test_missing_values_of_a_connection_are_told(tmp_path: Path) -> None:
    write(
        tmp_path,
        flow_dag_yaml=LLM.replace("connection: chat", "connection: broken"),
        ask_jinja2="user:\n{{question}}\n",
    )

    assert "BROKEN_API_KEY" in only_error(tmp_path, connections=Connections()).message


VARIANTS = """\
inputs: {q: {type: string}}
outputs: {a: {type: string, reference: "${ask.output}"}}
nodes:
- name: ask
  use_variants: true
node_variants:
  ask:
    default_variant_id: one
    variants:
      one: {node: {type: python, source: {type: code, path: clean.py}, inputs: {text: "${inputs.q}"}}}
      two: {node: {type: python, source: {type: code, path: gone.py}, inputs: {text: "${inputs.qq}"}}}
"""


def test_every_variant_is_checked(tmp_path: Path) -> None:
    write(tmp_path, flow_dag_yaml=VARIANTS)

    assert {f.code for f in errors(tmp_path)} == {"InvalidSource", "InputReferenceNotFound"}


def test_an_unknown_variant_lists_the_valid_ones(tmp_path: Path) -> None:
    write(tmp_path, flow_dag_yaml=VARIANTS.replace("two:", "twoo:"))

    found = next(f for f in errors(tmp_path, chosen={"ask": "tow"}) if f.code == "InvalidFlowError")

    assert "one, twoo" in (found.hint or "")


def test_unknown_keys_are_doubts_with_the_nearest_key(tmp_path: Path) -> None:
    write(tmp_path, flow_dag_yaml=GRAPH.replace("outputs:", "enviroment_variables: {A: b}\noutputs:", 1))

    (found,) = check_flow(tmp_path)

    assert (found.severity, found.code, found.line) == ("warning", "unknown-key", 3)
    assert "'environment_variables'" in (found.hint or "")


def test_text_that_looks_like_a_reference_is_a_doubt(tmp_path: Path) -> None:
    write(tmp_path, flow_dag_yaml=GRAPH.replace('"${clean.output}"', '"hello ${inputs.question}"'))

    assert [f.code for f in check_flow(tmp_path)] == ["literal-not-reference"]


def test_a_secret_typed_in_is_told_without_its_value(tmp_path: Path) -> None:
    key = "sk-" + "Zq3LkP0vTx81MnBcR7yHdW2s"
    write(tmp_path, flow_dag_yaml=GRAPH, shout_py=TOOL + f'KEY = "{key}"\n')

    (found,) = check_flow(tmp_path)

    assert (found.severity, found.code, place(found)) == ("warning", "secret-in-file", ("shout.py", 7))
    assert key not in str(found.to_json())


FLEX = """\
# A bot.

class Bot:
    def __init__(self, tone: str = 'kind'): ...
    def __call__(self, question: str): ...
    def __aggregate__(self, results, more): ...

class Mute:
    pass

def plain(a, b=1): ...
"""


@pytest.mark.parametrize(
    ("yaml", "code", "file", "line"),
    [
        ("entry: bot:Bat\n", "InvalidFlexFlowEntry", "flow.flex.yaml", 1),
        ("entry: bott:Bot\n", "InvalidFlexFlowEntry", "flow.flex.yaml", 1),
        ("entry: bot.Bot\n", "InvalidFlexFlowEntry", "flow.flex.yaml", 1),
        ("entry: bot:Bot\n", "InvalidAggregationFunction", "bot.py", 6),
        ("entry: bot:Mute\n", "InvalidFlexFlowEntry", "bot.py", 8),
        ("entry: bot:plain\ninputs:\n  b: {type: int}\n", "ValidationException", "flow.flex.yaml", 2),
        ("entry: bot:plain\ninputs:\n  a: {type: int}\n  c: {type: int}\n", "ValidationException", "flow.flex.yaml", 4),
    ],
)
def test_an_entry_is_checked_against_its_module(tmp_path: Path, yaml: str, code: str, file: str, line: int) -> None:
    write(tmp_path, flow_flex_yaml=yaml, bot_py=FLEX)

    assert (code, file, line) in {(f.code, *place(f)) for f in errors(tmp_path)}


PROMPTY = """\
---
name: ask
model:
  api: chat
  configuration: {type: openai, model: gpt-4o, api_key: "${env:SOME_KEY}"}
  parameters: {}
inputs:
  question: {type: string}
---
system:
Be brief.

user:
{{qestion}}
"""


def test_a_prompty_is_checked_with_the_lines_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "ask.prompty").write_text(PROMPTY, encoding="utf-8")

    found = {f.code: f for f in check_flow(tmp_path / "ask.prompty", environ={})}

    assert place(found["template-variable-without-input"]) == ("ask.prompty", 14)
    assert place(found["missing-variable"]) == ("ask.prompty", 5)


def test_a_prompty_whose_sample_is_no_json_is_checked_with_the_line_of_the_sample(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text('{\n  "a": 1\n  "b": 2\n}\n', encoding="utf-8")
    (tmp_path / "b.prompty").write_text(
        "---\nmodel: {configuration: {type: openai, model: m, api_key: '${env:K}'}}\nsample: s.json\n"
        "---\nuser:\n{{a}}\n",
        encoding="utf-8",
    )

    (found,) = (f for f in check_flow(tmp_path / "b.prompty", environ={"K": "k"}) if f.severity == "error")

    assert place(found) == ("s.json", 3)
    assert "no JSON" in found.message


@pytest.mark.parametrize(
    ("configuration", "hint"),
    [("type: azure_openai", "Add 'azure_deployment: NAME'."), ("type: openai", "Add 'model: NAME'.")],
)
def test_a_prompty_that_names_no_model_is_doubtful(tmp_path: Path, configuration: str, hint: str) -> None:
    (tmp_path / "a.prompty").write_text(
        f"---\nmodel:\n  configuration:\n    {configuration}\ninputs: {{}}\n---\nuser:\nhi\n", encoding="utf-8"
    )

    found = {f.code: f for f in check_flow(tmp_path / "a.prompty", environ={})}["prompty-without-model"]

    assert (found.severity, found.hint) == ("warning", hint)
    assert place(found) == ("a.prompty", 3)


def test_a_module_of_the_repository_outside_the_flow_is_named_with_its_folder(tmp_path: Path) -> None:
    flow = tmp_path / "flows" / "f"
    flow.mkdir(parents=True)
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "words.py").write_text("WORD = 'x'\n", encoding="utf-8")
    (flow / "flow.flex.yaml").write_text("entry: main:run\n", encoding="utf-8")
    (flow / "main.py").write_text(
        "from shared.words import WORD\n\ndef run(q: str) -> str:\n    return WORD\n", encoding="utf-8"
    )

    (found,) = (f for f in check_flow(flow) if f.severity == "error")

    assert (found.code, *place(found)) == ("ModuleNotFoundError", "main.py", 1)
    assert (found.hint or "").startswith(f"{tmp_path} holds it: set PYTHONPATH")


@pytest.mark.parametrize("type_", ["llm", "prompt"])
def test_a_template_whose_source_has_a_type_of_its_own_is_doubtful_and_runs(tmp_path: Path, type_: str) -> None:
    (tmp_path / "flow.dag.yaml").write_text(
        "inputs: {q: {type: string}}\noutputs: {}\nnodes:\n- name: n\n  type: TYPE\n"
        "  source: {type: jinja2, path: n.jinja2}\n  inputs: {q: '${inputs.q}', deployment_name: d}\n"
        "  connection: c\n  api: chat\n".replace("TYPE", type_),
        encoding="utf-8",
    )
    (tmp_path / "n.jinja2").write_text("user:\n{{q}}\n", encoding="utf-8")

    found = check_flow(tmp_path, environ={"C_CONNECTION_TYPE": "simulated"})

    assert [f.severity for f in found if f.code == "unknown-source-type"] == ["warning"]
    assert place(next(f for f in found if f.code == "unknown-source-type")) == ("flow.dag.yaml", 6)
    assert not [f for f in found if f.severity == "error"]


def test_a_tool_file_whose_source_has_a_type_of_its_own_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "flow.dag.yaml").write_text(
        "inputs: {}\noutputs: {}\nnodes:\n- name: n\n  type: python\n  source: {type: coed, path: n.py}\n",
        encoding="utf-8",
    )
    (tmp_path / "n.py").write_text("from promptflow.core import tool\n@tool\ndef run(): ...\n", encoding="utf-8")

    places = {(*place(f), f.hint) for f in check_flow(tmp_path) if f.severity == "error"}

    assert ("flow.dag.yaml", 6, "Did you mean 'code'?") in places


def test_files_that_a_prompty_and_code_name_outside_the_folder_are_doubtful(tmp_path: Path) -> None:
    flow = tmp_path / "f"
    flow.mkdir()
    (tmp_path / "shared").mkdir()
    for name in ("format.json", "sample.json", "ask.prompty"):
        (tmp_path / "shared" / name).write_text("{}", encoding="utf-8")
    (flow / "inner.json").write_text("{}", encoding="utf-8")
    (flow / "flow.flex.yaml").write_text("entry: main:run\n", encoding="utf-8")
    (flow / "main.py").write_text(
        "PROMPT = '../shared/ask.prompty'\nELSE = '../shared/nothing.txt'\n\n"
        "def run(q: str) -> str:\n    return PROMPT\n",
        encoding="utf-8",
    )
    (flow / "a.prompty").write_text(
        "---\nmodel:\n  parameters:\n    response_format: ${file:../shared/format.json}\n"
        "    tools: ${file:inner.json}\n"
        "sample: ../shared/sample.json\n---\nuser:\nhi\n",
        encoding="utf-8",
    )

    found = sorted(place(f) for f in check_flow(flow) if f.code == "file-outside")

    assert found == [("a.prompty", 4), ("a.prompty", 6), ("main.py", 1)]


def test_images_that_a_flow_names_outside_its_folder_are_doubtful(tmp_path: Path) -> None:
    flow = tmp_path / "f"
    flow.mkdir()
    (flow / "flow.dag.yaml").write_text(
        "inputs:\n"
        "  picture: {type: image, default: ../shared/cat.png}\n"
        "  other: {type: image, default: inside/cat.png}\n"
        "  page: {type: image, default: 'https://example.com/cat.png'}\n"
        "  parts:\n"
        "    type: list\n"
        "    default:\n"
        "    - hello\n"
        "    - data:image/png;path: ../shared/dog.png\n"
        "    - {type: image_file, image_file: {path: ../shared/cow.png}}\n"
        "outputs: {}\n"
        "nodes: []\n",
        encoding="utf-8",
    )
    (flow / "a.prompty").write_text(
        "---\nmodel: {api: chat}\ninputs: {p: {type: string}}\nsample:\n"
        "  p: 'data:image/png;path:../shared/cat.png'\n---\nuser:\n{{p}}\n",
        encoding="utf-8",
    )

    found = sorted(place(f) for f in check_flow(flow) if f.code == "file-outside")

    assert found == [("a.prompty", 5), ("flow.dag.yaml", 2), ("flow.dag.yaml", 9), ("flow.dag.yaml", 10)]


@pytest.mark.parametrize(
    ("template", "severity", "line"),
    [
        ("user:\n{% include 'shared.jinja2' %}\n", "error", 2),
        ("{% extends 'shared.jinja2' %}\n", "error", 1),
        ("user:\n{% import 'macros.jinja2' as m %}{{ m.say('x') }}\n", "error", 2),
        ("user:\n\n{% from 'macros.jinja2' import say %}\n", "error", 3),
        ("user:\n{% if text == 'never' %}{% include 'shared.jinja2' %}{% endif %}\n", "warning", 2),
    ],
)
def test_a_template_that_wants_another_one_is_found_before_a_row_fails(
    tmp_path: Path, template: str, severity: str, line: int
) -> None:
    """With prompt flow too a template has no others beside it: jinja2 answers "no loader for this environment"."""
    folder = write(
        tmp_path,
        flow_dag_yaml="inputs: {text: {type: string}}\noutputs: {}\nnodes:\n- name: ask\n  type: prompt\n"
        "  source: {type: code, path: ask.jinja2}\n  inputs: {text: '${inputs.text}'}\n",
        ask_jinja2=template,
    )

    found = [f for f in check_flow(folder) if f.code == "JinjaTemplateError"]

    assert [(f.severity, place(f)) for f in found] == [(severity, ("ask.jinja2", line))]
    assert "templates are rendered by themselves" in found[0].message


@pytest.mark.parametrize(
    ("names", "hint"),
    [
        (("ask.py",), "Did you mean 'ask.py'?"),
        (("inner/ask.py", "other.py"), "Did you mean 'inner/ask.py'?"),
        ((), "The flow's folder holds no .py file at all."),
    ],
)
def test_a_tool_file_named_from_the_repositorys_root_is_found_by_its_name(
    tmp_path: Path, names: tuple[str, ...], hint: str
) -> None:
    (tmp_path / "flow.dag.yaml").write_text(
        "inputs: {}\noutputs: {}\nnodes:\n- name: n\n  type: python\n  source: {type: code, path: flows/f/ask.py}\n",
        encoding="utf-8",
    )
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("", encoding="utf-8")

    (found,) = (f for f in check_flow(tmp_path) if f.severity == "error")
    with pytest.raises(FlowDefinitionError) as caught:
        load_flow(tmp_path)

    assert (found.hint, caught.value.hint) == (hint, hint)


def test_the_second_dialect_of_prompty_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.prompty").write_text(
        "---\nmodel: {id: gpt-4o, provider: openai}\n---\nsystem:\nHi\n", encoding="utf-8"
    )

    assert "prompty-second-dialect" in {f.code for f in check_flow(tmp_path / "a.prompty")}


def test_missing_includes_are_found(tmp_path: Path) -> None:
    write(tmp_path, flow_dag_yaml="additional_includes:\n- ../nowhere\n" + GRAPH)

    assert place(only_error(tmp_path)) == ("flow.dag.yaml", 2)


def test_files_may_come_from_an_include(tmp_path: Path) -> None:
    home = tmp_path / "flow"
    home.mkdir()
    (tmp_path / "shared.py").write_text(TOOL, encoding="utf-8")
    write(home, flow_dag_yaml="additional_includes:\n- ../shared.py\n" + GRAPH.replace("shout.py", "shared.py"))

    assert errors(home) == []
