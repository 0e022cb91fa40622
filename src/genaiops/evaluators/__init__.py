"""Outputs in, scores out: ours and yours."""

from genaiops.evaluators._adapters import azure_model_config, call_adapter
from genaiops.evaluators._builtin import (
    BUILTINS,
    Builtin,
    RowFacts,
    builtin_names,
    check_builtin,
    classification_metrics,
    score_builtin,
)
from genaiops.evaluators._calling import call_contract, call_functions
from genaiops.evaluators._functions import EvalFunction, eval_functions
from genaiops.evaluators._generated import write_adapter_flow, write_contract_flow, write_entry_flow, write_row_flow
from genaiops.evaluators._inprocess import evaluate_builtin
from genaiops.evaluators._joined import Joined, join_rows, resolve, write_joined
from genaiops.evaluators._numbers import as_score, flatten, link_aggregates, lower_is_better, score_columns
from genaiops.evaluators._raw import RawEvaluation, RawRow, contract_rows, rows_of_record, settle
from genaiops.evaluators._records import Evaluation, RowScore

__all__ = [
    "BUILTINS",
    "Builtin",
    "EvalFunction",
    "Evaluation",
    "Joined",
    "RawEvaluation",
    "RawRow",
    "RowFacts",
    "RowScore",
    "as_score",
    "azure_model_config",
    "builtin_names",
    "call_adapter",
    "call_contract",
    "call_functions",
    "check_builtin",
    "classification_metrics",
    "contract_rows",
    "eval_functions",
    "evaluate_builtin",
    "flatten",
    "join_rows",
    "link_aggregates",
    "lower_is_better",
    "resolve",
    "rows_of_record",
    "score_builtin",
    "score_columns",
    "settle",
    "write_adapter_flow",
    "write_contract_flow",
    "write_entry_flow",
    "write_joined",
    "write_row_flow",
]
