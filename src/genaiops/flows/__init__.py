"""What a flow is (graph, function, class, prompty) and how one row goes through it."""

from genaiops.flows._assistants import AssistantDefinition, AssistantToolInvoker
from genaiops.flows._check import KnownConnections, MissingField, check_flow, survey_flow
from genaiops.flows._check_mapping import check_mapping
from genaiops.flows._check_outside import OutsideFile, outside_files
from genaiops.flows._check_packages import tool_fate
from genaiops.flows._check_secrets import SecretPlace, find_secrets
from genaiops.flows._check_survey import FlowSurvey
from genaiops.flows._decorators import ToolProvider, tool
from genaiops.flows._exceptions import (
    PromptflowException,
    SystemErrorException,
    UserErrorException,
    ValidationException,
)
from genaiops.flows._load import examine_flow, load_flow
from genaiops.flows._metrics import log_metric
from genaiops.flows._model import (
    ChatShape,
    Condition,
    Finding,
    Flow,
    InputDef,
    Node,
    NodeSource,
    OutputDef,
    VariantSet,
)
from genaiops.flows._open import open_plan
from genaiops.flows._outcome import AggregationInputs, AggregationOutcome, NodeOutcome, Outcome, Services
from genaiops.flows._plan import Plan
from genaiops.flows._references import Reference, parse_reference
from genaiops.flows._threads import WorkerThreads
from genaiops.flows._types import DynamicList, FilePath, GeneratedBy, InputSetting, PromptTemplate, Secret
from genaiops.flows._yaml import YamlDocument, load_yaml, parse_yaml

__all__ = [
    "AggregationInputs",
    "AggregationOutcome",
    "AssistantDefinition",
    "AssistantToolInvoker",
    "ChatShape",
    "Condition",
    "DynamicList",
    "FilePath",
    "Finding",
    "Flow",
    "FlowSurvey",
    "GeneratedBy",
    "InputDef",
    "InputSetting",
    "KnownConnections",
    "MissingField",
    "Node",
    "NodeOutcome",
    "NodeSource",
    "Outcome",
    "OutputDef",
    "OutsideFile",
    "Plan",
    "PromptTemplate",
    "PromptflowException",
    "Reference",
    "Secret",
    "SecretPlace",
    "Services",
    "SystemErrorException",
    "ToolProvider",
    "UserErrorException",
    "ValidationException",
    "VariantSet",
    "WorkerThreads",
    "YamlDocument",
    "check_flow",
    "check_mapping",
    "examine_flow",
    "find_secrets",
    "load_flow",
    "load_yaml",
    "log_metric",
    "open_plan",
    "outside_files",
    "parse_reference",
    "parse_yaml",
    "survey_flow",
    "tool",
    "tool_fate",
]
