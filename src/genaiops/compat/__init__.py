"""Lets code, commands and files made for `promptflow` work unchanged."""

from genaiops.compat._client import PFClient
from genaiops.compat._layer import (
    ServedModuleError,
    engine_imports,
    explain_import,
    install_import_layer,
    served_imports,
    uninstall_import_layer,
)
from genaiops.compat._layout import export_promptflow_layout
from genaiops.compat._layout_import import import_promptflow_run
from genaiops.compat._openai_spans import record_openai_calls, stop_recording_openai_calls
from genaiops.compat._runs import Run, detail_rows, is_archived, load_run, relabel, run_dict, status_of

__all__ = [
    "PFClient",
    "Run",
    "ServedModuleError",
    "detail_rows",
    "engine_imports",
    "explain_import",
    "export_promptflow_layout",
    "import_promptflow_run",
    "install_import_layer",
    "is_archived",
    "load_run",
    "record_openai_calls",
    "relabel",
    "run_dict",
    "served_imports",
    "status_of",
    "stop_recording_openai_calls",
    "uninstall_import_layer",
]
