"""Text in, messages out; and what a model node sends and gets."""

from genaiops.prompts._errors import PromptError
from genaiops.prompts._guards import ROLES, ChatList, as_chat_list
from genaiops.prompts._images import (
    Image,
    ImageLoader,
    PFBytes,
    Text,
    absolute_image_paths,
    find_images,
    image_to_json,
    images_to_base64,
    images_to_text,
    is_image_dict,
    load_image,
    load_images,
    persist_images,
)
from genaiops.prompts._messages import PromptText, build_messages, render_prompt
from genaiops.prompts._model_call import ModelCall, ModelResult, plan_model_call, provider_of
from genaiops.prompts._model_configuration import (
    AzureOpenAIModelConfiguration,
    ModelConfiguration,
    OpenAIModelConfiguration,
    ResolvedModel,
    configuration_fields,
    resolve_model,
)
from genaiops.prompts._package_tools import PACKAGE_TOOLS, package_tools, retired_tool_hint
from genaiops.prompts._prompty import AsyncFlow, AsyncPrompty, Flow, Prompty, load_prompty, set_flow_loader
from genaiops.prompts._prompty_file import PromptyFile, read_prompty, split_prompty
from genaiops.prompts._prompty_v2 import translate as translate_prompty
from genaiops.prompts._render import render, template_variables
from genaiops.prompts._replies import reply_value
from genaiops.prompts._roles import image_variables, parse_roles, place_images
from genaiops.prompts._services import (
    PromptServices,
    current_services,
    get_services,
    set_default_services,
    use_services,
)
from genaiops.prompts._value_references import read_data_file

__all__ = [
    "PACKAGE_TOOLS",
    "ROLES",
    "AsyncFlow",
    "AsyncPrompty",
    "AzureOpenAIModelConfiguration",
    "ChatList",
    "Flow",
    "Image",
    "ImageLoader",
    "ModelCall",
    "ModelConfiguration",
    "ModelResult",
    "OpenAIModelConfiguration",
    "PFBytes",
    "PromptError",
    "PromptServices",
    "PromptText",
    "Prompty",
    "PromptyFile",
    "ResolvedModel",
    "Text",
    "absolute_image_paths",
    "as_chat_list",
    "build_messages",
    "configuration_fields",
    "current_services",
    "find_images",
    "get_services",
    "image_to_json",
    "image_variables",
    "images_to_base64",
    "images_to_text",
    "is_image_dict",
    "load_image",
    "load_images",
    "load_prompty",
    "package_tools",
    "parse_roles",
    "persist_images",
    "place_images",
    "plan_model_call",
    "provider_of",
    "read_data_file",
    "read_prompty",
    "render",
    "render_prompt",
    "reply_value",
    "resolve_model",
    "retired_tool_hint",
    "set_default_services",
    "set_flow_loader",
    "split_prompty",
    "template_variables",
    "translate_prompty",
    "use_services",
]
