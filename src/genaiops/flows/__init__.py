"""What a flow is (graph, function, class, prompty) and how one row goes through it."""

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
    "InputDef",
    "Node",
    "NodeSource",
    "OutputDef",
    "Reference",
    "VariantSet",
    "examine_flow",
    "load_flow",
    "parse_reference",
]
