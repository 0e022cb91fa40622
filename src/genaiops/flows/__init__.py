"""What a flow is (graph, function, class, prompty) and how one row goes through it."""

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
from genaiops.flows._types import DynamicList, FilePath, GeneratedBy, InputSetting, PromptTemplate, Secret

__all__ = [
    "AggregationInputs",
    "AggregationOutcome",
    "ChatShape",
    "Condition",
    "DynamicList",
    "FilePath",
    "Finding",
    "Flow",
    "GeneratedBy",
    "InputDef",
    "InputSetting",
    "Node",
    "NodeOutcome",
    "NodeSource",
    "Outcome",
    "OutputDef",
    "Plan",
    "PromptTemplate",
    "PromptflowException",
    "Reference",
    "Secret",
    "Services",
    "SystemErrorException",
    "ToolProvider",
    "UserErrorException",
    "ValidationException",
    "VariantSet",
    "examine_flow",
    "load_flow",
    "log_metric",
    "open_plan",
    "parse_reference",
    "tool",
]
