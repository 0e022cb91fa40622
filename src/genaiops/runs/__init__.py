"""One flow over one dataset: mapping, hosts, retries, the run record."""

from genaiops.runs._environments import flow_requirements, runtime_requirements
from genaiops.runs._events import OnEvent, RunEvent
from genaiops.runs._find import find_run, list_runs, make_run_id
from genaiops.runs._host_client import HostClient, HostSetup, PlanHandle, error_from_json
from genaiops.runs._lock import FolderLock, is_locked
from genaiops.runs._mapping import InputShape, Lookup, RowMapping, plan_mapping
from genaiops.runs._outcome_lines import read_outcomes
from genaiops.runs._record import FailureKind, RowCounts, RunRecord
from genaiops.runs._run import resume_run, run_batch, run_batches
from genaiops.runs._setup import FlowSource, flow_source, host_setup, open_request
from genaiops.runs._single import FlowSession, run_row
from genaiops.runs._spec import FlowRequest, RunSpec
from genaiops.runs._together import RunTogether, run_together

__all__ = [
    "FailureKind",
    "FlowRequest",
    "FlowSession",
    "FlowSource",
    "FolderLock",
    "HostClient",
    "HostSetup",
    "InputShape",
    "Lookup",
    "OnEvent",
    "PlanHandle",
    "RowCounts",
    "RowMapping",
    "RunEvent",
    "RunRecord",
    "RunSpec",
    "RunTogether",
    "error_from_json",
    "find_run",
    "flow_requirements",
    "flow_source",
    "host_setup",
    "is_locked",
    "list_runs",
    "make_run_id",
    "open_request",
    "plan_mapping",
    "read_outcomes",
    "resume_run",
    "run_batch",
    "run_batches",
    "run_row",
    "run_together",
    "runtime_requirements",
]
