"""An audit of a repository: what runs here, what does not and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from genaiops.audits import AuditReport, FlowAudit, audit, audit_markdown, find_flows
from genaiops.errors import InputError

TOOL = "from promptflow.core import tool\n\n\n@tool\ndef run(text: str):\n    return text\n"


def graph(*nodes: str) -> str:
    return "inputs:\n  q: {type: string}\noutputs: {}\nnodes:\n" + "".join(f"- {node}\n" for node in nodes)


NODE = "{name: a, type: python, source: {type: code, path: a.py}, inputs: {text: '${inputs.q}'}}"
MODEL_NODE = (
    "{name: m, type: llm, api: chat, connection: CONNECTION, source: {type: code, path: m.jinja2}, "
    "inputs: {deployment_name: gpt-4o, q: '${inputs.q}'}}"
)


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def only_flow(report: AuditReport) -> FlowAudit:
    (flow,) = report.flows
    return flow


def test_a_flow_that_runs_says_what_it_is_made_of(tmp_path: Path) -> None:
    tool = (
        "import os\nfrom helper import x\nfrom promptflow.core import tool\n\n@tool\ndef run(text): os.environ['T']\n"
    )
    write(
        tmp_path,
        {
            "f/flow.dag.yaml": graph(NODE, MODEL_NODE.replace("CONNECTION", "aoai")),
            "f/a.py": tool,
            "f/helper.py": "import promptflow.tracing\nx = os.getenv('REGION')\n",
            "f/m.jinja2": "user:\n{{q}}\n",
        },
    )

    flow = only_flow(audit(tmp_path))

    assert (flow.path, flow.kind, flow.verdict) == ("f/flow.dag.yaml", "graph", "runs")
    assert flow.nodes == ("a", "m")
    assert flow.tools == ("a.py", "m.jinja2")
    assert flow.connections == ("aoai",)
    assert flow.variables == ("REGION", "T")
    assert flow.imports == ("promptflow.core.tool", "promptflow.tracing")
    assert (flow.reasons, flow.effort_hours) == ((), 0)


def test_a_flow_with_a_mistake_is_broken(tmp_path: Path) -> None:
    write(tmp_path, {"flow.dag.yaml": graph(NODE.replace("inputs.q", "inputs.p")), "a.py": TOOL})

    flow = only_flow(audit(tmp_path))

    assert flow.verdict == "broken"
    assert "flow.dag.yaml:5" in flow.reasons[0]


def test_an_open_connection_asks_for_a_change_only(tmp_path: Path) -> None:
    write(tmp_path, {"flow.dag.yaml": graph(MODEL_NODE.replace("CONNECTION", "''")), "m.jinja2": "user:\n{{q}}\n"})

    assert only_flow(audit(tmp_path)).verdict == "runs with changes"


def test_a_mistake_in_another_variant_asks_for_a_change_only(tmp_path: Path) -> None:
    body = "{type: python, source: {type: code, path: %s}, inputs: {text: '${inputs.q}'}}"
    variants = "node_variants:\n  a:\n    default_variant_id: one\n    variants:\n"
    variants += f"      one: {{node: {body % 'a.py'}}}\n      two: {{node: {body % 'gone.py'}}}\n"
    write(tmp_path, {"flow.dag.yaml": graph("{name: a, use_variants: true}") + variants, "a.py": TOOL})

    flow = only_flow(audit(tmp_path))

    assert flow.verdict == "runs with changes"
    assert "in a variant" in flow.reasons[0]


@pytest.mark.parametrize(
    ("tool", "verdict"),
    [
        ("promptflow.tools.embedding.embedding", "runs"),
        ("promptflow_vectordb.tool.common_index_lookup.search", "runs with changes"),
        ("somebody.tools.search", "runs with changes"),
        ("promptflow.tools.embedding.embeding", "broken"),
    ],
)
def test_package_tools_decide_with_it(tmp_path: Path, tool: str, verdict: str) -> None:
    node = f"{{name: a, type: python, source: {{type: package, tool: {tool}}}, inputs: {{input: '${{inputs.q}}'}}}}"
    write(tmp_path, {"flow.dag.yaml": graph(node)})

    assert only_flow(audit(tmp_path)).verdict == verdict


def test_a_tool_package_that_the_requirements_name_is_enough(tmp_path: Path) -> None:
    node = "{name: a, type: python, source: {type: package, tool: some_tools.search}, inputs: {}}"
    write(tmp_path, {"flow.dag.yaml": graph(node), "requirements.txt": "some-tools>=1\n"})

    assert only_flow(audit(tmp_path)).verdict == "runs"


@pytest.mark.parametrize(
    ("line", "verdict"),
    [
        ("from promptflow.azure import PFClient", "runs with changes"),
        ("from promptflow._sdk._pf_client import X", "runs with changes"),
        ("try:\n    from promptflow.azure import PFClient\nexcept ImportError:\n    pass", "runs"),
        ("from promptflow import core", "runs"),
        ("from promptflow.entities import FlowContext", "runs"),
    ],
)
def test_imports_that_nothing_answers_ask_for_changes(tmp_path: Path, line: str, verdict: str) -> None:
    write(tmp_path, {"flow.dag.yaml": graph(NODE), "a.py": f"{line}\n{TOOL}"})

    assert only_flow(audit(tmp_path)).verdict == verdict


def test_other_languages_are_unsupported(tmp_path: Path) -> None:
    write(tmp_path, {"flow.dag.yaml": "language: csharp\n" + graph(NODE), "a.py": TOOL})

    assert only_flow(audit(tmp_path)).verdict == "unsupported"


def test_packages_that_the_code_imports_are_noted(tmp_path: Path) -> None:
    tool = "import bs4, requests, json, numpy\nfrom own import x\n" + TOOL
    files = {"flow.dag.yaml": graph(NODE), "a.py": tool, "own.py": "", "requirements.txt": "beautifulsoup4\n"}

    flow = only_flow(audit(write(tmp_path, files)))

    assert flow.notes == ("imports packages that its requirements do not name: requests",)


def test_a_constructor_that_needs_values_is_noted(tmp_path: Path) -> None:
    source = "class Bot:\n    def __init__(self, tone, size=1): ...\n    def __call__(self, q): ...\n"
    write(tmp_path, {"flow.flex.yaml": "entry: bot:Bot\n", "bot.py": source})

    flow = only_flow(audit(tmp_path))

    assert (flow.kind, flow.verdict) == ("class", "runs")
    assert "has to be given tone:" in flow.notes[0]


def test_flows_are_found_by_name_and_by_content(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "a/flow.dag.yml": graph(NODE),
            "b/flow.flex.yaml": "entry: m:f\n",
            "c/chat.prompty": "---\n---\n",
            "d/my_flow.yaml": "outputs: {}\nnodes:\n- name: a\n  type: python\n",
            "e/plan.exp.yaml": "inputs: {}\nnodes:\n- name: a\n  type: flow\n",
            "f/k8s.yaml": "kind: Deployment\n",
            "g/agent-maf/workflow.py": "from agent_framework import Workflow\n",
            ".venv/lib/flow.dag.yaml": graph(NODE),
            "a/.promptflow/flow.dag.yaml": graph(NODE),
        },
    )

    found = [path.relative_to(tmp_path).as_posix() for path in find_flows(tmp_path)]

    assert found == ["a/flow.dag.yml", "b/flow.flex.yaml", "c/chat.prompty", "d/my_flow.yaml"]


def test_secrets_are_told_by_place_and_kind_never_by_value(tmp_path: Path) -> None:
    key = "sk-" + "Zq3LkP0vTx81MnBcR7yHdW2sJf6Ga"
    write(tmp_path, {"x/settings.json": f'{{\n"api_key": "{key}"\n}}', ".env": f"OPENAI_API_KEY={key}\n"})

    report = audit(tmp_path)

    assert [(s.file, s.line, s.kind) for s in report.secrets] == [("x/settings.json", 2, "OpenAI key")]
    assert key not in str(report.to_json())
    assert key not in audit_markdown(report)


def test_use_cases_of_both_generations_are_listed(tmp_path: Path) -> None:
    experiment = "name: words\nflow: flows/main\ndatasets:\n- {name: train}\nevaluators:\n- {name: exact}\n"
    older = (
        '{"envs": [{"ENV_NAME": "dev", "STANDARD_FLOW_PATH": "flows/x", "EVALUATION_FLOW_PATH": "flows/e, flows/f"}]}'
    )
    write(
        tmp_path,
        {
            "words/experiment.yaml": experiment,
            "words/experiment.dev.yaml": "datasets: []\n",
            "older/llmops_config.json": older,
            "broken/experiment.yaml": "name: [\n",
        },
    )

    cases = {case.path: case for case in audit(tmp_path).use_cases}

    assert (cases["words"].flow, cases["words"].datasets, cases["words"].environments) == (
        "flows/main",
        ("train",),
        ("dev",),
    )
    assert (cases["older"].flow, cases["older"].evaluators) == ("flows/x", ("flows/e", "flows/f"))
    assert cases["broken"].problem is not None


def test_a_page_for_people_escapes_what_users_wrote(tmp_path: Path) -> None:
    write(tmp_path, {"a/experiment.yaml": "name: x\nflow: '<script>a|b'\n"})

    page = audit_markdown(audit(tmp_path))

    assert "<script>" not in page
    assert "a\\|b" in page


def test_nothing_to_audit_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is nothing"):
        audit(tmp_path / "gone")
