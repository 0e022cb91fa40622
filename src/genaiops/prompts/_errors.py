"""What goes wrong between a template and a model's answer."""

from __future__ import annotations

from genaiops.errors import RowError


class PromptError(RowError):
    """A template, a message list, a parameter or an answer of one row cannot be used.

    `kind` is prompt flow's name for it: `JinjaTemplateError`, `ChatAPIInvalidRole`, `ChatAPIInvalidTools`,
    `ChatAPIInvalidFunctions`, `ChatAPIFunctionRoleInvalidFormat`, `ChatAPIToolRoleInvalidFormat`,
    `FunctionCallNotSupportedInStreamMode`, `MissingRequiredInputError`, `InvalidOutputKeyError`,
    `InvalidSampleError`, `InvalidImageInput`, `InvalidConnectionError`, `NodeInputValidationError`, `LLMError`.
    """
