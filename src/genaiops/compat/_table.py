"""Which names of `promptflow` we serve, and where each one comes from.

Two plain tables. `SERVED` gives for every module the names in it as `name: "module:attribute"` of ours; nothing is
imported until a name is asked for. `RETIRED` gives what cannot be served and what to use instead; a name stands for
itself and for all below it.

Source: the imports found in prompt flow's examples and test flows, in the GenAIOps template and in public
repositories of flows.
"""

from __future__ import annotations

from collections.abc import Mapping

VERSION = "1.18.5"
"""The release of promptflow whose interface is served."""

_FLOWS = "genaiops.flows"
_PROMPTS = "genaiops.prompts"
_CONNECTIONS = "genaiops.connections"
_TRACING = "genaiops.tracing"
_HERE = "genaiops.compat"

_TOOL = {name: f"{_FLOWS}:{name}" for name in ("tool", "ToolProvider", "log_metric")}
_EDITOR = {name: f"{_FLOWS}:{name}" for name in ("InputSetting", "DynamicList", "GeneratedBy")}
_EXCEPTIONS = {
    name: f"{_FLOWS}:{name}"
    for name in ("PromptflowException", "UserErrorException", "SystemErrorException", "ValidationException")
} | {name: f"{_HERE}._exceptions:{name}" for name in ("ErrorCategory", "ErrorTarget")}
_MODEL_CONFIGURATIONS = {
    name: f"{_PROMPTS}:{name}"
    for name in ("AzureOpenAIModelConfiguration", "ModelConfiguration", "OpenAIModelConfiguration")
}
_FLOW_CLASSES = {name: f"{_HERE}._flow_function:{name}" for name in ("AsyncFlow", "Flow")} | {
    name: f"{_PROMPTS}:{name}" for name in ("AsyncPrompty", "Prompty")
}
_CONNECTION_TYPES = {
    name: f"{_CONNECTIONS}:{name}"
    for name in (
        "AzureAIServicesConnection",
        "AzureContentSafetyConnection",
        "AzureOpenAIConnection",
        "CognitiveSearchConnection",
        "CustomConnection",
        "CustomStrongTypeConnection",
        "FormRecognizerConnection",
        "OpenAIConnection",
        "SerpConnection",
        "ServerlessConnection",
    )
} | {"_Connection": f"{_CONNECTIONS}:Connection"}
_VECTOR_CONNECTIONS = {name: f"{_CONNECTIONS}:{name}" for name in ("QdrantConnection", "WeaviateConnection")}
_CLIENT = {
    "PFClient": f"{_HERE}._client:PFClient",
    "load_flow": f"{_HERE}._flow_function:load_flow",
    "load_run": f"{_HERE}._runs:load_run",
}
_ENTITIES = (
    _CONNECTION_TYPES
    | _VECTOR_CONNECTIONS
    | _EDITOR
    | {
        "FlowContext": f"{_HERE}._flow_function:FlowContext",
        "Run": f"{_HERE}._runs:Run",
    }
)
_TRACE = {
    "trace": f"{_TRACING}:trace",
    "start_trace": f"{_HERE}._trace:start_trace",
    "ThreadPoolExecutorWithContext": f"{_HERE}._trace:ThreadPoolExecutorWithContext",
}
_CONTEXT = {"OperationContext": f"{_HERE}._trace:OperationContext"}
_HITS = {"SearchResultEntity": f"{_HERE}._vector_results:SearchResultEntity"}
_DOTENV = {name: f"{_HERE}._dotenv:{name}" for name in ("dotenv_values", "find_dotenv", "get_key", "load_dotenv")}
_TYPES = {name: f"{_FLOWS}:{name}" for name in ("AssistantDefinition", "FilePath", "PromptTemplate", "Secret")}
_IMAGE = {name: f"{_PROMPTS}:{name}" for name in ("Image", "PFBytes", "Text")}
_REGISTER = {
    name: f"{_HERE}._registration:{name}"
    for name in (
        "register_api_method",
        "register_apis",
        "register_builtin_method",
        "register_builtins",
        "register_connections",
    )
}
_TOOL_ERRORS = {
    name: f"{_HERE}._exceptions:{name}"
    for name in (
        "AzureContentSafetyInputValueError",
        "AzureContentSafetySystemError",
        "ChatAPIFunctionRoleInvalidFormat",
        "ChatAPIInvalidFunctions",
        "ChatAPIInvalidRole",
        "ChatAPIInvalidTools",
        "ChatAPIToolRoleInvalidFormat",
        "ExceedMaxRetryTimes",
        "FunctionCallNotSupportedInStreamMode",
        "InvalidConnectionType",
        "JinjaTemplateError",
        "LLMError",
        "SerpAPISystemError",
        "SerpAPIUserError",
        "ToolValidationError",
        "WrappedOpenAIError",
    )
}
_MODEL_TOOLS = "genaiops.prompts.tools"
_JUDGED = (
    "CoherenceEvaluator",
    "F1ScoreEvaluator",
    "FluencyEvaluator",
    "GroundednessEvaluator",
    "QAEvaluator",
    "RelevanceEvaluator",
    "SimilarityEvaluator",
)
_EVALUATORS = {name: f"{_HERE}._evaluators:{name}" for name in (*_JUDGED, "ChatEvaluator")}
_EVALUATE = {"evaluate": f"{_HERE}._evaluate:evaluate"}

SERVED: Mapping[str, Mapping[str, str]] = {
    "promptflow": _TOOL
    | _CLIENT
    | {"log_flow_metric": f"{_FLOWS}:log_metric", "__version__": f"{_HERE}._table:VERSION"},
    "promptflow.core": _TOOL
    | _FLOW_CLASSES
    | _MODEL_CONFIGURATIONS
    | {"log_flow_metric": f"{_FLOWS}:log_metric", "__version__": f"{_HERE}._table:VERSION"},
    "promptflow.core._flow": _FLOW_CLASSES,
    "promptflow.core._model_configuration": _MODEL_CONFIGURATIONS,
    "promptflow.core._connection": _CONNECTION_TYPES,
    "promptflow.core._errors": {
        "InvalidConnectionError": f"{_HERE}._exceptions:InvalidConnectionError",
        "MissingRequiredInputError": f"{_HERE}._exceptions:MissingRequiredInputError",
    },
    "promptflow.connections": _CONNECTION_TYPES | {"BingConnection": f"{_HERE}._exceptions:BingConnection"},
    "promptflow.entities": _ENTITIES,
    "promptflow.client": _CLIENT,
    "promptflow.exceptions": _EXCEPTIONS,
    "promptflow.tracing": _TRACE | {"__version__": f"{_HERE}._table:VERSION"},
    "promptflow.tracing._trace": {"trace": f"{_TRACING}:trace"},
    "promptflow.tracing._start_trace": {"start_trace": _TRACE["start_trace"]},
    "promptflow.tracing._context_utils": {"ThreadPoolExecutorWithContext": _TRACE["ThreadPoolExecutorWithContext"]},
    "promptflow.tracing._operation_context": _CONTEXT,
    "promptflow.tracing._integrations": {},
    "promptflow.tracing._integrations._openai_injector": {
        "inject_openai_api": f"{_HERE}._openai_spans:record_openai_calls",
        "recover_openai_api": f"{_HERE}._openai_spans:stop_recording_openai_calls",
    },
    "promptflow.contracts": {},
    "promptflow.contracts.multimedia": _IMAGE,
    "promptflow.contracts.types": _TYPES,
    "promptflow.contracts.run_info": {"Status": f"{_HERE}._runs:Status"},
    "promptflow.contracts.run_mode": {"RunMode": f"{_HERE}._runs:RunMode"},
    "promptflow.integrations": {},
    "promptflow.integrations.langchain": {"PromptFlowCallbackHandler": f"{_HERE}._langchain:PromptFlowCallbackHandler"},
    "promptflow.executor": {},
    "promptflow.executor._assistant_tool_invoker": {"AssistantToolInvoker": f"{_FLOWS}:AssistantToolInvoker"},
    "promptflow._core": {},
    "promptflow._core.tool": _TOOL | _EDITOR | {"ToolType": f"{_HERE}._registration:ToolType"},
    "promptflow._core.tools_manager": _REGISTER,
    "promptflow.tracing.contracts": {},
    "promptflow.tracing.contracts.trace": {"TraceType": f"{_HERE}._trace:TraceType"},
    "promptflow.core._prompty_utils": {"parse_chat": f"{_HERE}._tool_helpers:parse_chat"},
    "promptflow._core.metric_logger": {"log_metric": f"{_FLOWS}:log_metric"},
    "promptflow._core.operation_context": _CONTEXT,
    "promptflow._core.token_provider": {"AzureTokenProvider": f"{_HERE}._internals:AzureTokenProvider"},
    "promptflow._utils": {},
    "promptflow._utils.async_utils": {
        "async_run_allowing_running_loop": f"{_HERE}._internals:async_run_allowing_running_loop"
    },
    "promptflow._utils.context_utils": {
        "_change_working_dir": f"{_HERE}._internals:change_working_dir",
        "inject_sys_path": f"{_HERE}._internals:inject_sys_path",
    },
    "promptflow._utils.credential_scrubber": {"CredentialScrubber": f"{_HERE}._internals:CredentialScrubber"},
    "promptflow._utils.dataclass_serializer": {"serialize": f"{_HERE}._internals:serialize"},
    "promptflow._utils.exception_utils": {
        name: f"{_HERE}._exceptions:{name}"
        for name in ("ErrorResponse", "ExceptionPresenter", "JsonSerializedPromptflowException")
    },
    "promptflow._utils.logger_utils": {
        name: f"{_HERE}._internals:{name}"
        for name in ("LoggerFactory", "bulk_logger", "flow_logger", "get_cli_sdk_logger", "get_logger", "logger")
    },
    "promptflow._utils.multimedia_utils": {
        name: f"{_HERE}._internals:{name}"
        for name in ("convert_multimedia_data_to_base64", "load_multimedia_data", "persist_multimedia_data")
    },
    "promptflow._utils.retry_utils": {
        name: f"{_HERE}._internals:{name}" for name in ("async_retry", "http_retry_wrapper", "retry")
    },
    "promptflow._utils.utils": {
        name: f"{_HERE}._internals:{name}"
        for name in ("count_and_log_progress", "dump_list_to_jsonl", "load_json", "load_list_from_jsonl", "try_import")
    },
    "promptflow._utils.yaml_utils": {
        name: f"{_HERE}._internals:{name}"
        for name in ("dump_yaml", "dump_yaml_to_string", "load_yaml", "load_yaml_string")
    },
    "promptflow._internal": {name: f"{_HERE}._exceptions:{name}" for name in ("ErrorResponse", "ExceptionPresenter")},
    "promptflow._constants": {},
    "promptflow._sdk": {},
    "promptflow._sdk._configuration": {"Configuration": f"{_HERE}._configuration:Configuration"},
    "promptflow._sdk._constants": {
        "LocalStorageFilenames": f"{_HERE}._layout:LocalStorageFilenames",
        "RunStatus": f"{_HERE}._runs:RunStatus",
    },
    "promptflow._sdk._errors": {
        name: f"{_HERE}._exceptions:{name}"
        for name in (
            "ConnectionNotFoundError",
            "InvalidFlowError",
            "InvalidRunError",
            "InvalidRunStatusError",
            "RunExistsError",
            "RunNotFoundError",
            "RunOperationError",
            "RunOperationParameterError",
        )
    },
    "promptflow._sdk._load_functions": {
        "load_flow": _CLIENT["load_flow"],
        "load_run": _CLIENT["load_run"],
    },
    "promptflow._sdk._pf_client": {"PFClient": _CLIENT["PFClient"]},
    "promptflow._sdk.entities": _ENTITIES,
    "promptflow._sdk.entities._connection": _CONNECTION_TYPES | _VECTOR_CONNECTIONS,
    "promptflow._sdk.entities._flows": {"FlowContext": _ENTITIES["FlowContext"], "Prompty": f"{_PROMPTS}:Prompty"},
    "promptflow._sdk.entities._run": {"Run": _ENTITIES["Run"]},
    "promptflow._sdk.operations": {},
    "promptflow._sdk.operations._flow_operations": {"FlowOperations": f"{_HERE}._client_flows:FlowOperations"},
    "promptflow._sdk.operations._run_operations": {"RunOperations": f"{_HERE}._client_runs:RunOperations"},
    "promptflow._sdk.operations._connection_operations": {
        "ConnectionOperations": f"{_HERE}._client_connections:ConnectionOperations"
    },
    "promptflow.operations": {
        "ConnectionOperations": f"{_HERE}._client_connections:ConnectionOperations",
        "FlowOperations": f"{_HERE}._client_flows:FlowOperations",
        "RunOperations": f"{_HERE}._client_runs:RunOperations",
    },
    "promptflow.tools": {
        name: f"{_MODEL_TOOLS}:{name}" for name in ("AzureOpenAI", "OpenAI", "SerpAPI", "AzureContentSafety")
    },
    "promptflow.tools.aoai": {
        "AzureOpenAI": f"{_MODEL_TOOLS}:AzureOpenAI",
        "chat": f"{_MODEL_TOOLS}:azure_chat",
        "completion": f"{_MODEL_TOOLS}:azure_completion",
    },
    "promptflow.tools.aoai_gpt4v": {"AzureOpenAI": f"{_MODEL_TOOLS}:AzureOpenAIVision"},
    "promptflow.tools.azure_content_safety": {
        "AzureContentSafety": f"{_MODEL_TOOLS}:AzureContentSafety",
        "TextCategorySensitivity": f"{_MODEL_TOOLS}:TextCategorySensitivity",
        "analyze_text": f"{_MODEL_TOOLS}:analyze_text",
    },
    "promptflow.tools.common": {
        name: f"{_HERE}._tool_helpers:{name}"
        for name in (
            "ChatInputList",
            "PromptResult",
            "build_messages",
            "init_azure_openai_client",
            "init_openai_client",
            "normalize_connection_config",
            "parse_chat",
            "post_process_chat_api_response",
            "preprocess_template_string",
            "render_jinja_template",
            "to_bool",
        )
    }
    | {"handle_openai_error": f"{_HERE}._tool_helpers:handle_openai_error"},
    "promptflow.tools.embedding": {
        "EmbeddingModel": f"{_MODEL_TOOLS}:EmbeddingModel",
        "embedding": f"{_MODEL_TOOLS}:embedding",
    },
    "promptflow.tools.exception": _TOOL_ERRORS,
    "promptflow.tools.llm": {"llm": f"{_MODEL_TOOLS}:llm"},
    "promptflow.tools.llm_vision": {"llm_vision": f"{_MODEL_TOOLS}:llm_vision"},
    "promptflow.tools.openai": {
        "OpenAI": f"{_MODEL_TOOLS}:OpenAI",
        "chat": f"{_MODEL_TOOLS}:openai_chat",
        "completion": f"{_MODEL_TOOLS}:openai_completion",
    },
    "promptflow.tools.openai_gpt4v": {"OpenAI": f"{_MODEL_TOOLS}:OpenAIVision"},
    "promptflow.tools.serpapi": {
        name: f"{_MODEL_TOOLS}:{attribute}"
        for name, attribute in {
            "Engine": "SearchEngine",
            "SafeMode": "SafeMode",
            "SerpAPI": "SerpAPI",
            "search": "search",
        }.items()
    },
    "promptflow.tools.template_rendering": {"render_template_jinja2": f"{_MODEL_TOOLS}:render_template_jinja2"},
    "promptflow.evals": {},
    "promptflow.evals.evaluate": _EVALUATE,
    "promptflow.evals.evaluators": _EVALUATORS,
    "promptflow_vectordb": {},
    "promptflow_vectordb.connections": _VECTOR_CONNECTIONS,
    "promptflow_vectordb.connections.qdrant": {"QdrantConnection": _VECTOR_CONNECTIONS["QdrantConnection"]},
    "promptflow_vectordb.connections.weaviate": {"WeaviateConnection": _VECTOR_CONNECTIONS["WeaviateConnection"]},
    "promptflow_vectordb.core": {},
    "promptflow_vectordb.core.contracts": _HITS,
    "promptflow_vectordb.core.contracts.results": _HITS,
    "dotenv": _DOTENV,
    "dotenv.main": _DOTENV,
    "azure": {},
    "azure.ai": {},
    "azure.ai.evaluation": {name: f"{_HERE}._evaluators_azure:{name}" for name in _JUDGED}
    | _EVALUATE
    | _MODEL_CONFIGURATIONS,
}

DEPRECATED: Mapping[str, str] = {
    "promptflow:tool": "from promptflow.core import tool",
    "promptflow:ToolProvider": "from promptflow.core import ToolProvider",
    "promptflow:log_metric": "from promptflow.core import log_metric",
    "promptflow:log_flow_metric": "from promptflow.core import log_metric",
    "promptflow:PFClient": "from promptflow.client import PFClient",
    "promptflow:load_flow": "from promptflow.client import load_flow",
    "promptflow:load_run": "from promptflow.client import load_run",
    "promptflow._sdk.entities:AzureOpenAIConnection": "from promptflow.connections import AzureOpenAIConnection",
}
"""Imports that prompt flow itself tells people to leave: `module:name` and what to write instead."""

RETIRED: Mapping[str, str] = {
    "promptflow.azure": (
        "It ran flows in an Azure workspace. Run the flow with `genaiops run`, or with "
        "`from promptflow.client import PFClient` on this machine."
    ),
    "promptflow.batch": "Run a flow over a dataset with `genaiops flow run FLOW --data FILE` or PFClient().run().",
    "promptflow.executor": "Load a flow with `from promptflow.client import load_flow` and call it.",
    "promptflow.parallel": "Run a flow over a dataset with `genaiops flow run FLOW --data FILE --processes N`.",
    "promptflow.rag": "It built indexes in an Azure workspace. Build the index with the search service's own library.",
    "promptflow.recording": "Record model calls with `genaiops flow run --model-calls record` and replay them.",
    "promptflow.evals.synthetic": "Generate data with a prompty flow and `genaiops flow run FLOW --data FILE`.",
    "promptflow._cli": "Use the command `genaiops pf …`.",
    "promptflow._sdk._service": "There is no local service here; runs are plain files that `genaiops runs list` shows.",
    "promptflow._sdk._serving": "Serve a flow with `genaiops serve FLOW`.",
    "promptflow.core._serving": "Serve a flow with `genaiops serve FLOW`.",
    "promptflow.storage": "Runs are folders of plain files here; read them with PFClient().get_details(run).",
    "promptflow.tools.open_model_llm": (
        "Call the model through an OpenAI-compatible connection (type open_ai with base_url, or serverless)."
    ),
    "promptflow_vectordb.tool": "Query the index with the search service's own library in a Python node.",
} | {
    f"promptflow.evals.evaluators:{name}": what
    for names, what in (
        (
            (
                "ContentSafetyEvaluator",
                "ContentSafetyChatEvaluator",
                "HateUnfairnessEvaluator",
                "IndirectAttackEvaluator",
                "ProtectedMaterialEvaluator",
                "SelfHarmEvaluator",
                "SexualEvaluator",
                "ViolenceEvaluator",
            ),
            "It called a service of an Azure workspace; write a judge prompt or call Azure AI Content Safety.",
        ),
        (
            ("BleuScoreEvaluator", "GleuScoreEvaluator", "MeteorScoreEvaluator", "RougeScoreEvaluator", "RougeType"),
            "Compute it with nltk or rouge-score in an evaluator of your own; F1ScoreEvaluator is served.",
        ),
    )
    for name in names
}
"""What cannot be served, and what to use instead: a module with all below it, or `module:name`."""
