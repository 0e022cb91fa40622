"""Lets code, commands and files made for `promptflow` work unchanged.

Every flow host comes in through this door for the import layer alone, so the rest is imported when it is asked for.
"""

from typing import TYPE_CHECKING, Any

from genaiops.compat._layer import (
    ServedModuleError,
    engine_imports,
    explain_import,
    install_import_layer,
    served_imports,
    uninstall_import_layer,
)
from genaiops.compat._openai_spans import record_openai_calls, stop_recording_openai_calls

if TYPE_CHECKING:
    from genaiops.compat._client import PFClient
    from genaiops.compat._client_flows import ValidationResult, read_inputs
    from genaiops.compat._client_runs import summary
    from genaiops.compat._configuration import Configuration
    from genaiops.compat._flow_init import init_flow, init_flow_for_function
    from genaiops.compat._flow_save import save_flow
    from genaiops.compat._flow_test import TestedRow, run_flow_test
    from genaiops.compat._layout import export_promptflow_layout
    from genaiops.compat._layout_import import import_promptflow_run
    from genaiops.compat._run_file import (
        flat_connections,
        read_environment_variables,
        read_init,
        read_run_file,
        set_dotted,
    )
    from genaiops.compat._runs import Run, RunStatus, detail_rows, is_archived, load_run, relabel, run_dict, status_of
    from genaiops.compat._submit import submit_run
    from genaiops.compat._table import VERSION
    from genaiops.compat._visualize import runs_page

__all__ = [
    "VERSION",
    "Configuration",
    "PFClient",
    "Run",
    "RunStatus",
    "ServedModuleError",
    "TestedRow",
    "ValidationResult",
    "detail_rows",
    "engine_imports",
    "explain_import",
    "export_promptflow_layout",
    "flat_connections",
    "import_promptflow_run",
    "init_flow",
    "init_flow_for_function",
    "install_import_layer",
    "is_archived",
    "load_run",
    "read_environment_variables",
    "read_init",
    "read_inputs",
    "read_run_file",
    "record_openai_calls",
    "relabel",
    "run_dict",
    "run_flow_test",
    "runs_page",
    "save_flow",
    "served_imports",
    "set_dotted",
    "status_of",
    "stop_recording_openai_calls",
    "submit_run",
    "summary",
    "uninstall_import_layer",
]

_HOMES = {
    "Configuration": "_configuration",
    "PFClient": "_client",
    "Run": "_runs",
    "RunStatus": "_runs",
    "TestedRow": "_flow_test",
    "VERSION": "_table",
    "ValidationResult": "_client_flows",
    "detail_rows": "_runs",
    "export_promptflow_layout": "_layout",
    "flat_connections": "_run_file",
    "import_promptflow_run": "_layout_import",
    "init_flow": "_flow_init",
    "init_flow_for_function": "_flow_init",
    "is_archived": "_runs",
    "load_run": "_runs",
    "read_environment_variables": "_run_file",
    "read_init": "_run_file",
    "read_inputs": "_client_flows",
    "read_run_file": "_run_file",
    "relabel": "_runs",
    "run_dict": "_runs",
    "run_flow_test": "_flow_test",
    "runs_page": "_visualize",
    "save_flow": "_flow_save",
    "set_dotted": "_run_file",
    "status_of": "_runs",
    "submit_run": "_submit",
    "summary": "_client_runs",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
