"""Variants times datasets times evaluators: read, plan, run, compare."""

from genaiops.experiments._check import UseCaseCheck, check_use_case
from genaiops.experiments._plan import Cell, Plan, PlanKind, PlanRequest, parse_plan, plan_cells
from genaiops.experiments._read import Examined, examine_experiment, load_experiment
from genaiops.experiments._schema import experiment_schema
from genaiops.experiments._spec import (
    AzureSource,
    DatasetSpec,
    EvaluatorSpec,
    ExperimentSpec,
    MetricRule,
    Place,
    Setting,
)

__all__ = [
    "AzureSource",
    "Cell",
    "DatasetSpec",
    "EvaluatorSpec",
    "Examined",
    "ExperimentSpec",
    "MetricRule",
    "Place",
    "Plan",
    "PlanKind",
    "PlanRequest",
    "Setting",
    "UseCaseCheck",
    "check_use_case",
    "examine_experiment",
    "experiment_schema",
    "load_experiment",
    "parse_plan",
    "plan_cells",
]
