"""Imports of `promptflow` are served by us, in the process that asked for it."""

from __future__ import annotations

import ast
import importlib
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from genaiops.compat import (
    engine_imports,
    explain_import,
    install_import_layer,
    served_imports,
    uninstall_import_layer,
)
from genaiops.compat._table import RETIRED, SERVED
from genaiops.errors import InputError


@pytest.fixture
def layer() -> Iterator[None]:
    install_import_layer()
    yield
    uninstall_import_layer()


def test_nothing_named_promptflow_is_importable_without_the_layer() -> None:
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("promptflow")


# flow-format.md §3.7, line by line.
@pytest.mark.parametrize(
    "statement",
    [
        "from promptflow.core import tool",
        "from promptflow.connections import AzureOpenAIConnection, OpenAIConnection, CustomConnection",
        "from promptflow.connections import CustomStrongTypeConnection, CognitiveSearchConnection",
        "from promptflow.tracing import trace, start_trace, ThreadPoolExecutorWithContext",
        "from promptflow.client import PFClient, load_flow, load_run",
        "from promptflow.core import log_metric",
        "from promptflow.core import AzureOpenAIModelConfiguration, OpenAIModelConfiguration",
        "from promptflow.contracts.multimedia import Image",
        "from promptflow.core import Prompty",
        "from promptflow.core._flow import Prompty, AsyncPrompty, Flow, AsyncFlow",
        "from promptflow import tool, log_metric, ToolProvider, PFClient, load_flow, load_run, log_flow_metric",
        "import promptflow",
        "from promptflow._core.tool import InputSetting, DynamicList, GeneratedBy, tool",
        "from promptflow.contracts.types import AssistantDefinition, Secret, FilePath, PromptTemplate",
        "from promptflow.executor._assistant_tool_invoker import AssistantToolInvoker",
        "from promptflow.tools.aoai import chat, completion, AzureOpenAI",
        "from promptflow.tools.openai import chat, completion, OpenAI",
        "from promptflow.tools.common import parse_chat, render_jinja_template",
        "from promptflow.entities import AzureOpenAIConnection, OpenAIConnection, CustomConnection, Run, FlowContext",
        "from promptflow.entities import CognitiveSearchConnection, SerpConnection, FormRecognizerConnection",
        "from promptflow.entities import AzureContentSafetyConnection, InputSetting, DynamicList",
        "from promptflow.exceptions import SystemErrorException, UserErrorException",
        "from promptflow.core import ToolProvider",
        "from promptflow._utils.logger_utils import get_logger",
        "from promptflow._sdk._errors import InvalidRunStatusError",
        "from promptflow._utils.yaml_utils import load_yaml",
        "from promptflow._internal import ExceptionPresenter, ErrorResponse",
        "from promptflow.tracing._operation_context import OperationContext",
        "from promptflow.integrations.langchain import PromptFlowCallbackHandler",
        "from promptflow._sdk.operations._flow_operations import FlowOperations",
        "from promptflow._sdk.entities import AzureOpenAIConnection, Run",
        "from promptflow.evals.evaluators import GroundednessEvaluator, QAEvaluator, F1ScoreEvaluator, ChatEvaluator",
        "from promptflow.evals.evaluate import evaluate",
        "from promptflow_vectordb.connections import QdrantConnection, WeaviateConnection",
    ],
)
def test_what_real_flows_import_is_served(layer: None, statement: str) -> None:
    exec(statement, {})


@pytest.mark.parametrize("module", sorted(SERVED))
def test_every_name_of_the_table_has_something_behind_it(layer: None, module: str) -> None:
    if module.startswith("azure"):
        pytest.skip("somebody else's namespace may be installed")
    served = importlib.import_module(module)

    for name in SERVED[module]:
        assert getattr(served, name) is not None


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("from promptflow.azure import PFClient", "genaiops run"),
        ("import promptflow.azure as azure", "genaiops run"),
        ("from promptflow.executor import FlowExecutor", "load_flow"),
        ("import promptflow.rag", "search service"),
        ("from promptflow.core import tol", "Did you mean 'promptflow.core.tool'?"),
        ("from promptflow.cre import tool", "Did you mean 'promptflow.core'?"),
        ("from promptflow.connections import InputSetting", "It is in 'promptflow.entities'."),
        ("from promptflow.evals.evaluators import ViolenceEvaluator", "judge prompt"),
    ],
)
def test_what_cannot_be_served_names_what_to_use(layer: None, statement: str, words: str) -> None:
    with pytest.raises(ImportError, match="genaiops does not serve") as caught:
        exec(statement, {})

    assert words in str(caught.value)


def test_asking_for_a_missing_name_without_importing_it_is_an_attribute_error(layer: None) -> None:
    import promptflow

    assert not hasattr(promptflow, "azure")


def test_old_imports_warn_once(layer: None, caplog: pytest.LogCaptureFixture) -> None:
    from genaiops.compat import _layer

    _layer._warned.clear()
    with caplog.at_level(logging.WARNING):
        exec("from promptflow import tool", {})
        uninstall_import_layer()
        install_import_layer()
        exec("from promptflow import tool", {})

    assert [record.getMessage() for record in caplog.records].count(
        "'from promptflow import tool' is deprecated. Write: from promptflow.core import tool"
    ) == 1


def test_served_classes_are_the_ones_that_the_engine_hands_over(layer: None) -> None:
    from promptflow.connections import AzureOpenAIConnection
    from promptflow.entities import AzureOpenAIConnection as OfEntities

    from genaiops.connections import AzureOpenAIConnection as Ours

    assert AzureOpenAIConnection is OfEntities is Ours


def test_installing_twice_changes_nothing(layer: None) -> None:
    before = list(sys.meta_path)
    install_import_layer()

    assert sys.meta_path == before


def test_the_installed_promptflow_cannot_be_asked_for_when_there_is_none() -> None:
    with pytest.raises(InputError, match="not installed"):
        install_import_layer("installed")


def test_the_mode_in_force_is_told() -> None:
    told = engine_imports()

    assert (told["mode"], told["promptflow_installed"], told["version"]) == ("own", False, None)


def test_the_table_for_readers_of_code_agrees_with_the_layer() -> None:
    served = served_imports()

    assert "tool" in served["promptflow.core"]
    assert "core" in served["promptflow"]
    assert all(explain_import(module, name) is None for module in served for name in served[module])


def test_retired_names_are_not_served() -> None:
    for retired in RETIRED:
        module, _, name = retired.partition(":")
        assert explain_import(module, name or "anything") is not None


def test_importing_core_loads_nothing_heavy() -> None:
    script = (
        "import sys; from genaiops.compat import install_import_layer; install_import_layer();"
        "from promptflow.core import tool; import promptflow.connections, promptflow.client;"
        "print(sorted({'openai','jinja2','numpy','scipy','aiohttp','starlette','rich','pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert ast.literal_eval(done.stdout) == []


def test_a_folder_called_promptflow_does_not_get_in_the_way(layer: None, tmp_path: Path) -> None:
    (tmp_path / "promptflow").mkdir()
    (tmp_path / "promptflow" / "__init__.py").write_text("raise RuntimeError('not this one')", encoding="utf-8")
    sys.path.insert(0, str(tmp_path))
    try:
        from promptflow.core import tool
    finally:
        sys.path.remove(str(tmp_path))

    assert tool.__module__.startswith("genaiops.")
