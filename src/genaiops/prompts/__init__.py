"""Text in, messages out; and what a model node sends and gets."""

from genaiops.prompts._errors import PromptError
from genaiops.prompts._guards import ROLES, ChatList, as_chat_list
from genaiops.prompts._images import (
    Image,
    ImageLoader,
    Text,
    absolute_image_paths,
    find_images,
    images_to_base64,
    images_to_text,
    is_image_dict,
    persist_images,
)
from genaiops.prompts._messages import PromptText, build_messages, render_prompt
from genaiops.prompts._model_call import ModelCall, ModelResult, plan_model_call, provider_of
from genaiops.prompts._render import render, template_variables
from genaiops.prompts._replies import reply_value
from genaiops.prompts._roles import parse_roles, place_images
from genaiops.prompts._services import (
    PromptServices,
    current_services,
    get_services,
    set_default_services,
    use_services,
)

__all__ = [
    "ROLES",
    "ChatList",
    "Image",
    "ImageLoader",
    "ModelCall",
    "ModelResult",
    "PromptError",
    "PromptServices",
    "PromptText",
    "Text",
    "absolute_image_paths",
    "as_chat_list",
    "build_messages",
    "current_services",
    "find_images",
    "get_services",
    "images_to_base64",
    "images_to_text",
    "is_image_dict",
    "parse_roles",
    "persist_images",
    "place_images",
    "plan_model_call",
    "provider_of",
    "render",
    "render_prompt",
    "reply_value",
    "set_default_services",
    "template_variables",
    "use_services",
]
