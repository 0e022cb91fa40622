"""Loading flows: found, classified, refused with file and line, older forms understood."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from genaiops.errors import FlowDefinitionError
from genaiops.flows import Flow, Reference, examine_flow, load_flow

TOOL = "from promptflow.core import tool\n\n@tool\ndef run(text: str = 'x') -> str:\n    return text\n"
NODE = "- name: {0}\n  type: python\n  source: {{type: code, path: tool.py}}\n  inputs: {{text: '{1}'}}\n"


def graph(*nodes: tuple[str, str], outputs: str = "", extra: str = "") -> dict[str, str]:
    body = "inputs:\n  text: {type: string}\n" + (f"outputs:\n{outputs}" if outputs else "") + "nodes:\n"
    return {"flow.dag.yaml": body + "".join(NODE.format(*node) for node in nodes) + extra, "tool.py": TOOL}


def refused(folder: Path, **options: object) -> FlowDefinitionError:
    with pytest.raises(FlowDefinitionError) as caught:
        load_flow(folder, **options)  # type: ignore[arg-type]
    return caught.value


@pytest.mark.parametrize("name", ["flow.dag.yaml", "flow.dag.yml"])
def test_a_folder_with_one_flow_file_is_a_flow(write_flow: Callable[..., Path], name: str) -> None:
    files = graph(("a", "${inputs.text}"), outputs="  out: {type: string, reference: '${a.output}'}\n")
    folder = write_flow({name: files["flow.dag.yaml"], "tool.py": TOOL}, name="2 My-Flow")

    flow = load_flow(folder)

    assert (flow.kind, flow.name, flow.path, flow.folder) == ("graph", "n2_my_flow", folder / name, folder)
    assert flow.inputs["text"].type == "string"
    assert flow.outputs["out"].reference == Reference("node", "a")


def test_any_base_name_is_fine_when_the_file_is_named(write_flow: Callable[..., Path]) -> None:
    folder = write_flow({"other.yaml": graph(("a", "x"))["flow.dag.yaml"], "tool.py": TOOL})

    assert load_flow(folder / "other.yaml").nodes[0].name == "a"


def test_entry_makes_a_flex_flow_whatever_the_file_is_called(write_flow: Callable[..., Path]) -> None:
    folder = write_flow({"flow.dag.yaml": "entry: app:run\n", "app.py": "def run(x: int) -> str: ...\n"})

    flow = load_flow(folder)

    assert (flow.kind, flow.inputs["x"].type) == ("function", "int")


def test_two_flow_files_in_a_folder_are_refused(write_flow: Callable[..., Path]) -> None:
    folder = write_flow({"flow.dag.yaml": "nodes: []\n", "flow.flex.yaml": "entry: a:b\n"})

    error = refused(folder)

    assert error.kind == "ValidationException"
    assert "flow.dag.yaml, flow.flex.yaml" in error.message


def test_a_missing_flow_names_the_neighbour_that_was_meant(write_flow: Callable[..., Path], tmp_path: Path) -> None:
    write_flow(graph(("a", "x")), name="classification")

    error = refused(tmp_path / "clasification")

    assert error.hint == "Did you mean 'classification'?"


def test_other_languages_and_suffixes_are_refused(write_flow: Callable[..., Path]) -> None:
    folder = write_flow({"flow.dag.yaml": "language: csharp\nnodes: []\n", "notes.txt": "x"})

    assert "csharp" in refused(folder).message
    assert ".txt" in refused(folder / "notes.txt").message


@pytest.mark.parametrize(
    ("nodes", "outputs", "kind", "line", "hint"),
    [
        ([("a", "${b.output}")], "", "NodeReferenceNotFound", 7, None),
        ([("first", "x"), ("b", "${frist.output}")], "", "NodeReferenceNotFound", 11, "Did you mean 'first'?"),
        (
            [("a", "${ a.output }")],
            "",
            "NodeReferenceNotFound",
            7,
            "Write ${a.output} without blanks inside the braces.",
        ),
        ([("a", "${inputs.txt}")], "", "InputReferenceNotFound", 7, "Did you mean 'text'?"),
        ([("a", "${inputs.text.x}")], "", "InputReferenceNotFound", 7, "Did you mean 'text'?"),
        ([("a", "${b}"), ("b", "${a}")], "", "NodeCircularDependency", 4, None),
        ([("a", "x"), ("a", "y")], "", "DuplicateNodeName", 8, None),
        ([("a", "x"), ("b", "${a.output[0]}")], "", "UnsupportedReference", 11, "Write ${a.output.[0]}."),
        ([("a", "x")], "  o: {type: string, reference: ''}\n", "EmptyOutputReference", 4, None),
        ([("a", "x")], "  o: {type: string, reference: '${z}'}\n", "OutputReferenceNotFound", 4, "Valid: a."),
        ([("a", "x")], "  o: {type: string, reference: '${inputs.z}'}\n", "OutputReferenceNotFound", 4, "Valid: text."),
    ],
)
def test_a_graph_that_cannot_mean_anything_is_refused(
    write_flow: Callable[..., Path],
    nodes: list[tuple[str, str]],
    outputs: str,
    kind: str,
    line: int,
    hint: str | None,
) -> None:
    folder = write_flow(graph(*nodes, outputs=outputs))

    error = refused(folder)

    assert (error.kind, error.line, error.exit_code) == (kind, line, 2)
    assert error.file == str(folder / "flow.dag.yaml")
    if hint:
        assert error.hint == hint


@pytest.mark.parametrize(
    ("node", "inner"),
    [
        ("- name: n\n  type: python\n", "UserErrorException"),
        ("- name: n\n  source: {type: code, path: tool.py}\n", "NotImplementedError"),
        ("- name: n\n  type: typescript\n  source: {type: code, path: tool.py}\n", "NotImplementedError"),
        ("- name: n\n  type: python\n  source: {type: code, path: tol.py}\n", "InvalidSource"),
        ("- name: n\n  type: prompt\n  source: {type: code, path: p.jinja2}\n", "InvalidSource"),
        ("- name: n\n  type: python\n  source: {type: code, path: ../tool.py}\n", "InvalidSource"),
        ("- name: n\n  type: python\n  source: {type: code, path: /etc/passwd}\n", "InvalidSource"),
        ("- name: n\n  type: python\n  source: {type: code, path: none.py}\n", "NoToolDefined"),
        ("- name: n\n  type: python\n  source: {type: code, path: two.py}\n", "MultipleToolsDefined"),
        ("- name: n\n  type: python\n  source: {type: code, path: broken.py}\n", "PythonLoadError"),
    ],
)
def test_a_node_that_cannot_be_loaded_is_refused(write_flow: Callable[..., Path], node: str, inner: str) -> None:
    folder = write_flow(
        {
            "flow.dag.yaml": f"nodes:\n{node}",
            "tool.py": TOOL,
            "../tool.py": TOOL,
            "none.py": "def run(): ...\n",
            "two.py": TOOL + TOOL.replace("run", "again"),
            "broken.py": "def run(:\n",
        }
    )

    error = refused(folder)

    assert (error.kind, error.type, error.node) == ("ResolveToolError", inner, "n")
    assert error.message.startswith(f"Tool load failed in 'n': ({inner}) ")


def test_tools_that_are_only_imported_do_not_count(write_flow: Callable[..., Path]) -> None:
    folder = write_flow({**graph(("a", "x")), "tool.py": "from other import helper\n" + TOOL, "other.py": TOOL})

    assert load_flow(folder).nodes[0].name == "a"


def test_examine_finds_every_mistake_at_once(write_flow: Callable[..., Path]) -> None:
    folder = write_flow(graph(("a", "${inputs.t}"), ("b", "${c}"), outputs="  o: {type: string, reference: '${d}'}\n"))

    flow, errors = examine_flow(folder)

    assert [error.kind for error in errors] == [
        "InputReferenceNotFound", "NodeReferenceNotFound", "OutputReferenceNotFound",
    ]  # fmt: skip
    assert isinstance(flow, Flow)


def test_unknown_keys_are_warned_of_with_the_nearest_name(write_flow: Callable[..., Path]) -> None:
    files = graph(("a", "x"), extra="  agregation: true\nnodevariants: {}\n")

    findings = load_flow(write_flow(files)).findings

    assert [(f.code, f.line, f.hint) for f in findings] == [
        ("unknown-key", 9, "Did you mean 'node_variants'?"),
        ("unknown-key", 8, "Did you mean 'aggregation'?"),
    ]


def test_an_output_of_an_aggregation_node_is_left_out_with_a_warning(write_flow: Callable[..., Path]) -> None:
    files = graph(("a", "x"), outputs="  o: {reference: '${a.output}'}\n", extra="  aggregation: true\n")

    flow = load_flow(write_flow(files))

    assert flow.outputs == {}
    assert [f.code for f in flow.findings] == ["aggregation-output"]


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        ("  aggregation: true\n", "", "InvalidNodeReference"),
        ("", "  aggregation: true\n  activate: {when: '${a.output}', is: 1}\n", "InvalidNodeReference"),
    ],
)
def test_references_across_the_aggregation_border_are_refused(
    write_flow: Callable[..., Path], first: str, second: str, kind: str
) -> None:
    text = "nodes:\n" + NODE.format("a", "x") + first + NODE.format("b", "${a.output}") + second

    assert refused(write_flow({"flow.dag.yaml": text, "tool.py": TOOL})).kind == kind


@pytest.mark.parametrize("condition", ["{when: '${inputs.text}'}", "{is: 1}"])
def test_half_a_condition_is_refused(write_flow: Callable[..., Path], condition: str) -> None:
    folder = write_flow(graph(("a", "x"), extra=f"  activate: {condition}\n"))

    assert refused(folder).kind == "FlowDefinitionError"


# Older forms


def test_reduce_is_aggregation_and_text_is_a_truth_value(write_flow: Callable[..., Path]) -> None:
    flow = load_flow(write_flow(graph(("a", "x"), extra="  reduce: true\n  use_variants: 'false'\n")))

    assert flow.nodes[0].aggregation
    assert not flow.nodes[0].use_variants


def test_a_node_may_name_an_inline_tool(write_flow: Callable[..., Path]) -> None:
    text = "tools:\n- {name: echo, type: python, source: tool.py}\nnodes:\n- {name: a, tool: echo, inputs: {text: x}}\n"

    node = load_flow(write_flow({"flow.dag.yaml": text, "tool.py": TOOL})).nodes[0]

    assert node.type == "python"
    assert node.source is not None
    assert node.source.path == "tool.py"


def test_skip_of_older_files_is_understood(write_flow: Callable[..., Path]) -> None:
    extra = "  skip: {when: '${flow.text}', is: stop, return: '${flow.text}'}\n"

    skip = load_flow(write_flow(graph(("a", "${flow.text}"), extra=extra))).nodes[0].skip

    assert skip is not None
    assert (skip.when, skip.expected, skip.value) == (Reference("input", "text"), "stop", Reference("input", "text"))


# Includes


def test_includes_are_merged_into_one_folder_under_their_base_names(write_flow: Callable[..., Path]) -> None:
    files = graph(("a", "${inputs.text}"), extra="additional_includes:\n- ../shared/helper.py\n- ../shared/data\n")
    write_flow({"helper.py": "VALUE = 1\n", "data/x.txt": "x", "data/deep/y.txt": "y"}, name="shared")
    folder = write_flow(files)

    flow = load_flow(folder)

    assert flow.home == folder
    assert flow.folder != folder
    assert (flow.folder / "helper.py").read_text(encoding="utf-8") == "VALUE = 1\n"
    assert (flow.folder / "data" / "deep" / "y.txt").is_file()
    assert load_flow(flow.folder).includes == ()
    assert load_flow(folder).folder == flow.folder


def test_an_edit_of_an_include_makes_another_folder(write_flow: Callable[..., Path]) -> None:
    files = graph(("a", "x"), extra="additional_includes: [../helper.py]\n")
    folder = write_flow({**files, "../helper.py": "VALUE = 1\n"})
    before = load_flow(folder).folder

    (folder.parent / "helper.py").write_text("VALUE = 2\n", encoding="utf-8")

    assert load_flow(folder).folder != before


def test_a_missing_include_is_named_with_its_line(write_flow: Callable[..., Path]) -> None:
    error = refused(write_flow(graph(("a", "x"), extra="additional_includes:\n- ../nothing.py\n")))

    assert error.message == "Unable to find additional include '../nothing.py'."
    assert error.line == 9


# Chat


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ("chat_history: {type: list}", "chat_history"),
        ("chat_history: {type: list, is_chat_history: false}", None),
        ("past: {type: list, is_chat_history: true}", "past"),
        ("past: {type: list}", None),
    ],
)
def test_a_chat_flow_is_told_by_its_marks(write_flow: Callable[..., Path], history: str, expected: str | None) -> None:
    text = f"""\
    inputs:
      question: {{type: string, is_chat_input: true}}
      {history}
    outputs:
      answer: {{type: string, reference: '${{inputs.question}}', is_chat_output: true}}
    nodes: []
    """

    chat = load_flow(write_flow({"flow.dag.yaml": text})).chat

    assert chat is not None
    assert (chat.input, chat.history, chat.output) == ("question", expected, "answer")
