"""Variants times datasets times evaluators: read, plan, run, compare."""

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
    "DatasetSpec",
    "EvaluatorSpec",
    "Examined",
    "ExperimentSpec",
    "MetricRule",
    "Place",
    "Setting",
    "examine_experiment",
    "experiment_schema",
    "load_experiment",
]
