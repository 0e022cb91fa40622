"""Tools: found in scripts, connections put in, classes, images, assistants."""

from __future__ import annotations

import asyncio
import base64
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import genaiops.connections as connections
import genaiops.prompts as prompts
from genaiops.connections import ConnectionStore
from genaiops.errors import FlowDefinitionError
from genaiops.flows import (
    AssistantDefinition,
    AssistantToolInvoker,
    Outcome,
    Services,
    check_flow,
    load_flow,
    open_plan,
    tool,
)

Write = Callable[..., Path]
Run = Callable[..., Outcome]

HEAD = "from promptflow.core import tool\nfrom promptflow.connections import *\n"
STORE = {
    "azure": {"type": "azure_open_ai", "api_key": "k", "api_base": "https://a"},
    "openai": {"type": "open_ai", "api_key": "k"},
    "mine": {"type": "custom", "configs": {"url": "https://x"}, "secrets": {"api_key": "s"}},
    "fake": {"type": "simulated"},
}
PNG = bytes.fromhex("89504e470d0a1a0a") + b"rest"


@pytest.fixture(autouse=True)
def more_imports(monkeypatch: pytest.MonkeyPatch, promptflow_imports: None) -> None:
    names = [n for n in connections.__all__ if n.endswith("Connection")]
    contents = {
        "promptflow.connections": {"__all__": names, **{name: getattr(connections, name) for name in names}},
        "promptflow.contracts.multimedia": {"Image": prompts.Image},
        "promptflow.contracts.types": {
            "AssistantDefinition": AssistantDefinition, "Secret": connections.Secret,
        },
    }  # fmt: skip
    for name, content in contents.items():
        module = ModuleType(name)
        module.__dict__.update(content)
        monkeypatch.setitem(sys.modules, name, module)


def one_node(body: str, inputs: str = "{}", flow_inputs: str = "{}", extra: str = "") -> dict[str, str]:
    return {
        "flow.dag.yaml": f"inputs: {flow_inputs}\noutputs: {{o: {{reference: '${{n.output}}'}}}}\nnodes:\n- name: n\n"
        f"  type: python\n  source: {{type: code, path: n.py}}\n  inputs: {inputs}\n{extra}",
        "n.py": HEAD + body,
    }


def services() -> Services:
    return Services(connections=ConnectionStore.of(STORE))


@pytest.mark.parametrize(
    ("annotation", "name", "expected"),
    [
        ("AzureOpenAIConnection", "azure", "AzureOpenAIConnection"),
        ("Union[AzureOpenAIConnection, OpenAIConnection]", "openai", "OpenAIConnection"),
        ("AzureOpenAIConnection | OpenAIConnection | None", "azure", "AzureOpenAIConnection"),
        ("'AzureOpenAIConnection'", "azure", "AzureOpenAIConnection"),
        ("Optional[CustomConnection]", "mine", "CustomConnection"),
        ("AzureOpenAIConnection", "fake", "SimulatedConnection"),
    ],
)
def test_a_literal_for_a_connection_is_its_name(
    write_flow: Write, run: Run, annotation: str, name: str, expected: str
) -> None:
    body = f"from typing import Optional, Union\n@tool\ndef run(conn: {annotation}):\n    return type(conn).__name__\n"

    outcome = run(write_flow(one_node(body, f"{{conn: {name}}}")), services=services())

    assert outcome.outputs == {"o": expected}
    assert outcome.nodes["n"].inputs == {"conn": name}


@pytest.mark.parametrize(
    ("name", "inner"),
    [("openai", "NodeInputValidationError"), ("azrue", "GetConnectionError"), ("{a: 1}", "NodeInputValidationError")],
)
def test_a_connection_that_does_not_fit_is_refused(write_flow: Write, run: Run, name: str, inner: str) -> None:
    folder = write_flow(one_node("@tool\ndef run(conn: AzureOpenAIConnection): ...\n", f"{{conn: {name}}}"))

    with pytest.raises(FlowDefinitionError) as caught:
        run(folder, services=services())

    assert (caught.value.kind, caught.value.type) == ("ResolveToolError", inner)
    assert caught.value.line == 7
    if name == "azrue":
        assert (caught.value.hint or "").startswith("Did you mean 'azure'?")


STRONG = """\
from promptflow.contracts.types import Secret
class MyConnection(CustomStrongTypeConnection):
    api_key: Secret
    url: str = "default"
@tool
def run(conn: MyConnection):
    return [type(conn).__name__, conn.api_key, conn.url]
"""


def test_a_custom_connection_becomes_the_class_of_the_tool(write_flow: Write, run: Run) -> None:
    outcome = run(write_flow(one_node(STRONG, "{conn: mine}")), services=services())

    assert outcome.outputs == {"o": ["MyConnection", "s", "https://x"]}


def test_a_custom_connection_becomes_the_users_class_among_classes_of_ours(write_flow: Write, run: Run) -> None:
    body = STRONG.replace("conn: MyConnection", "conn: AzureOpenAIConnection | OpenAIConnection | MyConnection")
    folder = write_flow(one_node(body, "{conn: mine}"))

    assert run(folder, services=services()).outputs == {"o": ["MyConnection", "s", "https://x"]}
    environ = {"MINE_CONNECTION_TYPE": "custom", "MINE_API_KEY": "k"}
    assert "InvalidConnectionType" not in {f.code for f in check_flow(folder, environ=environ)}


def test_a_custom_connection_without_the_fields_of_the_class_is_refused(write_flow: Write, run: Run) -> None:
    folder = write_flow(one_node(STRONG.replace("api_key: Secret", "token: Secret"), "{conn: mine}"))

    with pytest.raises(Exception, match="lacks 'token'"):
        run(folder, services=services())


CLASS_TOOL = """\
from promptflow.core import ToolProvider
class Adder(ToolProvider):
    def __init__(self, start: int, conn: AzureOpenAIConnection, unused: str = "u"):
        super().__init__()
        self.start, self.conn = start, conn
    @tool
    def add(self, number: int):
        return [self.start + number, self.conn.name]
"""


def test_a_class_tool_is_made_with_constants_and_called_with_the_rest(write_flow: Write, run: Run) -> None:
    folder = write_flow(one_node(CLASS_TOOL, "{start: '40', conn: azure, number: '${inputs.n}'}", "{n: {type: int}}"))

    outcome = run(folder, {"n": 2}, services=services())

    assert outcome.outputs == {"o": [42, "azure"]}
    assert outcome.nodes["n"].inputs == {"number": 2}


@pytest.mark.parametrize(
    ("inputs", "inner"),
    [
        ("{start: '${inputs.n}', conn: azure, number: 1}", "InputTypeMismatch"),
        ("{start: 1, number: 1}", "MissingRequiredInputs"),
        ("{start: many, conn: azure, number: 1}", "NodeInputValidationError"),
    ],
)
def test_a_class_tool_that_cannot_be_made_is_refused(write_flow: Write, run: Run, inputs: str, inner: str) -> None:
    with pytest.raises(FlowDefinitionError) as caught:
        run(write_flow(one_node(CLASS_TOOL, inputs, "{n: {type: int}}")), {"n": 2}, services=services())

    assert caught.value.type == inner


def test_each_node_has_a_module_of_its_own_that_nobody_can_import(write_flow: Write, run: Run) -> None:
    text = (
        "outputs: {o: {reference: '${b.output}'}}\nnodes:\n"
        "- {name: a, type: python, source: {type: code, path: n.py}, inputs: {}}\n"
        "- {name: b, type: python, source: {type: code, path: n.py}, inputs: {x: '${a.output}'}}\n"
    )
    body = HEAD + "COUNT = []\n@tool\ndef run(x=None):\n    COUNT.append(1)\n    return [__name__, len(COUNT), x]\n"

    outcome = run(write_flow({"flow.dag.yaml": text, "n.py": body}))

    assert outcome.outputs == {"o": ["__pf_main__", 1, ["__pf_main__", 1, None]]}
    assert "__pf_main__" not in sys.modules


def test_dataclasses_with_postponed_annotations_load(write_flow: Write, run: Run) -> None:
    body = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\nfrom promptflow.core import tool\n"
        "@dataclass\nclass R:\n    a: int\n    b: list[str]\n@tool\ndef run(x: int) -> R:\n    return R(x, ['b'])\n"
    )
    files = one_node("", "{x: '3'}")

    assert run(write_flow({**files, "n.py": body})).outputs == {"o": {"a": 3, "b": ["b"]}}


@pytest.mark.parametrize(
    ("body", "line"),
    [("import nothing_there\n", 3), ("def helper():\n    return 1 / 0\nhelper()\n", 4), ("x = (\n", 3)],
)
def test_a_script_that_fails_to_load_is_refused_with_the_line(
    write_flow: Write, run: Run, body: str, line: int
) -> None:
    folder = write_flow(one_node(body + "@tool\ndef run(): ...\n"))

    with pytest.raises(FlowDefinitionError) as caught:
        run(folder)

    assert (caught.value.type, caught.value.line) == ("PythonLoadError", line)
    assert caught.value.file == str(folder / "n.py")


@pytest.mark.parametrize("arguments", ["", "()", "(name='n', description='d', type='python', extra=1)"])
def test_the_decorator_works_bare_and_called(arguments: str) -> None:
    names: dict[str, Any] = {"tool": tool}
    exec(f"@tool{arguments}\ndef run(x: int) -> int:\n    return x + 1\n", names)

    assert names["run"](1) == 2
    assert names["run"].__dict__["__original_function"](1) == 2


def test_the_decorator_keeps_generators_and_coroutines_what_they_are() -> None:
    @tool
    async def waits(x: int) -> int:
        return x

    @tool
    def yields(x: int) -> Any:
        yield x

    assert asyncio.run(waits(1)) == 1
    assert list(yields(2)) == [2]


def test_another_decorator_above_is_not_passed_over(write_flow: Write, run: Run) -> None:
    body = (
        "import functools\ndef twice(f):\n    @functools.wraps(f)\n    def inner(*a, **k):\n"
        "        return [f(*a, **k)] * 2\n    return inner\n@twice\n@tool\ndef run(x: int):\n    return x\n"
    )

    assert run(write_flow(one_node(body, "{x: '1'}"))).outputs == {"o": [1, 1]}


def test_a_tool_is_asked_to_stream_only_when_the_caller_and_the_graph_allow_it(write_flow: Write) -> None:
    body = (
        "@tool(streaming_option_parameter='go')\ndef run(go=False):\n    return (x for x in 'ab') if go else 'whole'\n"
    )
    read = "- {name: m, type: python, source: {type: code, path: m.py}, inputs: {x: '${n.output}'}}\n"
    more = {"m.py": HEAD + "@tool\ndef run(x):\n    return 1\n"}

    async def answer(folder: Path, streaming: bool) -> Any:
        plan = await open_plan(load_flow(folder), streaming=streaming)
        value = (await plan.run({}, streaming=streaming)).outputs["o"]
        return value if isinstance(value, str) else list(value)

    alone, followed = write_flow(one_node(body)), write_flow({**one_node(body, extra=read), **more}, name="other")
    assert asyncio.run(answer(alone, True)) == ["a", "b"]
    assert asyncio.run(answer(alone, False)) == "whole"
    assert asyncio.run(answer(followed, True)) == "whole"


# Images


@pytest.mark.parametrize(
    ("message_format", "given", "written"),
    [
        ("basic", {"data:image/png;path": "cat.png"}, "data:image/png;base64"),
        ("basic", "cat.png", "data:image/png;base64"),
        ("openai-vision", {"type": "image_file", "image_file": {"path": "cat.png"}}, "type"),
    ],
)
def test_images_are_objects_inside_and_mappings_outside(
    write_flow: Write, run: Run, message_format: str, given: Any, written: str
) -> None:
    body = (
        "from promptflow.contracts.multimedia import Image\n@tool\ndef run(image: Image, many: list):\n"
        "    assert isinstance(image, Image) and isinstance(many[0], Image)\n    return [image, str(many[0])]\n"
    )
    files = one_node(
        body,
        "{image: '${inputs.image}', many: '${inputs.many}'}",
        "{image: {type: image}, many: {type: list}}",
        f"message_format: {message_format}\n",
    )
    folder = write_flow(files)
    (folder / "cat.png").write_bytes(PNG)
    inner = given if isinstance(given, dict) else {"data:image/png;path": "cat.png"}

    outcome = run(folder, {"image": given, "many": [inner]})

    assert outcome.error is None
    image, text = outcome.outputs["o"]
    assert text == f"Image({prompts.Image(PNG)._hash})"
    encoded = base64.b64encode(PNG).decode()
    assert image == (
        {written: encoded}
        if message_format == "basic"
        else {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded}"}}
    )


def test_an_image_outside_the_folder_is_read_where_the_flow_names_it_and_not_where_a_row_does(
    write_flow: Write, run: Run
) -> None:
    body = (
        "from promptflow.contracts.multimedia import Image\n@tool\ndef run(image: Image, fixed: Image):\n"
        "    return [str(image), str(fixed)]\n"
    )
    files = one_node(
        body, "{image: '${inputs.image}', fixed: ../cat.png}", "{image: {type: image, default: ../cat.png}}"
    )
    folder = write_flow(files)
    (folder.parent / "cat.png").write_bytes(PNG)

    text = f"Image({prompts.Image(PNG)._hash})"
    assert run(folder, {}).outputs == {"o": [text, text]}
    refused = run(folder, {"image": "../cat.png"}).error
    assert refused is not None
    assert (refused["kind"], "leads out" in refused["message"]) == ("InvalidImageInput", True)


def test_the_message_format_survives_a_flow_whose_nodes_had_to_be_sorted(write_flow: Write) -> None:
    text = (
        "message_format: openai-vision\nnodes:\n"
        "- {name: b, type: python, source: {type: code, path: n.py}, inputs: {x: '${a.output}'}}\n"
        "- {name: a, type: python, source: {type: code, path: n.py}, inputs: {}}\n"
    )

    flow = load_flow(write_flow({"flow.dag.yaml": text, "n.py": HEAD + "@tool\ndef run(x=1): ...\n"}))

    assert [node.name for node in flow.nodes] == ["a", "b"]
    assert flow.message_format == "openai-vision"


def test_images_of_records_go_to_files_where_a_folder_is_given(write_flow: Write, run: Run, tmp_path: Path) -> None:
    body = "from promptflow.contracts.multimedia import Image\n@tool\ndef run(i: Image):\n    return i\n"
    folder = write_flow(one_node(body, "{i: cat.png}"))
    (folder / "cat.png").write_bytes(PNG)

    outcome = run(folder, services=Services(images=tmp_path / "images"))

    [(key, path)] = outcome.outputs["o"].items()
    assert key == "data:image/png;path"
    assert (tmp_path / "images" / path).read_bytes() == PNG


@pytest.mark.parametrize("given", ["", None, 5, {"data:image/png;path": "nothing.png"}])
def test_what_is_no_image_fails_the_row(write_flow: Write, run: Run, given: Any) -> None:
    folder = write_flow(one_node("@tool\ndef run(i): ...\n", "{i: '${inputs.i}'}", "{i: {type: image}}"))

    error = run(folder, {"i": given}).error

    assert error is not None
    assert error["kind"] == "InvalidImageInput"


# Assistants


def test_an_assistant_knows_its_tools(write_flow: Write, run: Run) -> None:
    body = (
        "from promptflow.contracts.types import AssistantDefinition\n@tool\ndef run(a: AssistantDefinition):\n"
        "    return [a.model, a._tool_invoker.to_openai_tools(), a._tool_invoker.invoke_tool('echo', {'text': 'hi'})]\n"
    )
    echo = (
        HEAD + "@tool\ndef echo(conn: AzureOpenAIConnection, text: str, times: int = 1):\n"
        '    """Say it again.\n\n    :param text: What to say.\n    :type text: str\n    """\n'
        "    return f'{conn.name} {text * times}'\n"
    )
    assistant = """\
    model: gpt-4
    instructions: Help.
    tools:
    - type: code_interpreter
    - type: function
      tool_type: python
      source: {type: code, path: echo.py}
      predefined_inputs: {conn: azure}
    """
    folder = write_flow({**one_node(body, "{a: assistant.yaml}"), "echo.py": echo, "assistant.yaml": assistant})

    model, tools, answer = run(folder, services=services()).outputs["o"]

    assert (model, answer) == ("gpt-4", "azure hi")
    assert tools[0] == {"type": "code_interpreter"}
    assert tools[1]["function"] == {
        "name": "echo",
        "description": "Say it again.\n",
        "parameters": {
            "type": "object",
            "properties": {
                "text": {"type": "string", "description": "What to say."},
                "times": {"type": "number", "description": ""},
            },
            "required": ["text"],
        },
    }
    assert AssistantToolInvoker({}).to_openai_tools() == []


@pytest.mark.parametrize("kind", ["type: unknown", "type: function", "type: function\n  tool_type: python"])
def test_an_assistant_with_a_tool_that_cannot_be_is_refused(write_flow: Write, run: Run, kind: str) -> None:
    body = "from promptflow.contracts.types import AssistantDefinition\n@tool\ndef run(a: AssistantDefinition): ...\n"
    folder = write_flow({**one_node(body, "{a: assistant.yaml}"), "assistant.yaml": f"tools:\n- {kind}\n"})

    with pytest.raises(FlowDefinitionError, match="InvalidAssistantTool") as caught:
        run(folder)

    assert caught.value.type == "NodeInputValidationError"
