"""How we reach a model or a service; the only room that sees a secret."""

from genaiops.connections._base import Connection
from genaiops.connections._calls import Api, ModelReply, chunks_of_body, model_endpoint, model_identity
from genaiops.connections._custom import CustomConnection, CustomStrongTypeConnection, Secret
from genaiops.connections._entra import ENTRA_SCOPE, get_entra_token
from genaiops.connections._errors import ModelCallError, ModelRefusedError, RecordingMissError, RetriesExhaustedError
from genaiops.connections._local import LocalConnections, shown_definition
from genaiops.connections._models import Models, ModelStats
from genaiops.connections._placeholders import fill_placeholders, variable_prefix
from genaiops.connections._redaction import Redactor, install_log_redaction, is_secret_variable, redact
from genaiops.connections._resolve import MissingValue
from genaiops.connections._simulated import simulated_body
from genaiops.connections._spelling import CONNECTION_TYPES, connection_class, is_connection_type
from genaiops.connections._store import ConnectionStore, connection_from_dict, missing_values_error
from genaiops.connections._types import (
    AzureAIServicesConnection,
    AzureContentSafetyConnection,
    AzureOpenAIConnection,
    CognitiveSearchConnection,
    FormRecognizerConnection,
    OpenAIConnection,
    QdrantConnection,
    SerpConnection,
    ServerlessConnection,
    SimulatedConnection,
    WeaviateConnection,
)
from genaiops.connections._wire import load_transport

__all__ = [
    "CONNECTION_TYPES",
    "ENTRA_SCOPE",
    "Api",
    "AzureAIServicesConnection",
    "AzureContentSafetyConnection",
    "AzureOpenAIConnection",
    "CognitiveSearchConnection",
    "Connection",
    "ConnectionStore",
    "CustomConnection",
    "CustomStrongTypeConnection",
    "FormRecognizerConnection",
    "LocalConnections",
    "MissingValue",
    "ModelCallError",
    "ModelRefusedError",
    "ModelReply",
    "ModelStats",
    "Models",
    "OpenAIConnection",
    "QdrantConnection",
    "RecordingMissError",
    "Redactor",
    "RetriesExhaustedError",
    "Secret",
    "SerpConnection",
    "ServerlessConnection",
    "SimulatedConnection",
    "WeaviateConnection",
    "chunks_of_body",
    "connection_class",
    "connection_from_dict",
    "fill_placeholders",
    "get_entra_token",
    "install_log_redaction",
    "is_connection_type",
    "is_secret_variable",
    "load_transport",
    "missing_values_error",
    "model_endpoint",
    "model_identity",
    "redact",
    "shown_definition",
    "simulated_body",
    "variable_prefix",
]
