"""Variants times datasets times evaluators: read, plan, run, compare."""

from genaiops.experiments._check import UseCaseCheck, check_use_case
from genaiops.experiments._dataops import DataAsset, read_data_assets
from genaiops.experiments._doctor import examine_data
from genaiops.experiments._estimate import Estimate, Span, estimate_plan
from genaiops.experiments._execute import resume_experiment, run_experiment, run_prepared
from genaiops.experiments._from_logs import LogSample, dataset_from_logs
from genaiops.experiments._history import Comparison, Side, compare_sides, default_side, side_of_run
from genaiops.experiments._locate import overlay_environments
from genaiops.experiments._plan import Cell, Plan, PlanKind, PlanRequest, parse_plan, plan_cells
from genaiops.experiments._portable import export_experiment, import_experiment
from genaiops.experiments._prepare import Prepared, open_connections, prepare_again, prepare_experiment
from genaiops.experiments._problems import Problems
from genaiops.experiments._read import Examined, examine_experiment, load_experiment
from genaiops.experiments._request import (
    DEFAULT_FAILED_SHARE,
    ExperimentEvent,
    ExperimentRequest,
    OnExperimentEvent,
    ignore_experiment_event,
)
from genaiops.experiments._rescore import evaluate_runs
from genaiops.experiments._result import (
    ExperimentResult,
    find_experiment,
    list_experiments,
    load_result,
    newest_experiments,
    write_experiment,
)
from genaiops.experiments._spec import (
    AzureSource,
    DatasetSpec,
    EvaluatorSpec,
    ExperimentSpec,
    MetricRule,
    Place,
    Setting,
)
from genaiops.experiments._tasks import rows_of

__all__ = [
    "DEFAULT_FAILED_SHARE",
    "AzureSource",
    "Cell",
    "Comparison",
    "DataAsset",
    "DatasetSpec",
    "Estimate",
    "EvaluatorSpec",
    "Examined",
    "ExperimentEvent",
    "ExperimentRequest",
    "ExperimentResult",
    "ExperimentSpec",
    "LogSample",
    "MetricRule",
    "OnExperimentEvent",
    "Place",
    "Plan",
    "PlanKind",
    "PlanRequest",
    "Prepared",
    "Problems",
    "Setting",
    "Side",
    "Span",
    "UseCaseCheck",
    "check_use_case",
    "compare_sides",
    "dataset_from_logs",
    "default_side",
    "estimate_plan",
    "evaluate_runs",
    "examine_data",
    "examine_experiment",
    "export_experiment",
    "find_experiment",
    "ignore_experiment_event",
    "import_experiment",
    "list_experiments",
    "load_experiment",
    "load_result",
    "newest_experiments",
    "open_connections",
    "overlay_environments",
    "parse_plan",
    "plan_cells",
    "prepare_again",
    "prepare_experiment",
    "read_data_assets",
    "resume_experiment",
    "rows_of",
    "run_experiment",
    "run_prepared",
    "side_of_run",
    "write_experiment",
]
