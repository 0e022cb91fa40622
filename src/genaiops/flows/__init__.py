"""What a flow is (graph, function, class, prompty) and how one row goes through it."""

from genaiops.flows._check import KnownConnections, check_flow, survey_flow
from genaiops.flows._check_mapping import check_mapping
from genaiops.flows._check_secrets import SecretPlace, find_secrets
from genaiops.flows._check_survey import FlowSurvey
from genaiops.flows._load import examine_flow, load_flow
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
from genaiops.flows._references import Reference, parse_reference

__all__ = [
    "ChatShape",
    "Condition",
    "Finding",
    "Flow",
    "FlowSurvey",
    "InputDef",
    "KnownConnections",
    "Node",
    "NodeSource",
    "OutputDef",
    "Reference",
    "SecretPlace",
    "VariantSet",
    "check_flow",
    "check_mapping",
    "examine_flow",
    "find_secrets",
    "load_flow",
    "parse_reference",
    "survey_flow",
]
