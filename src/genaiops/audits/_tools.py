"""What becomes of the package tools that a flow names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from genaiops.errors import suggest

# Tools of promptflow-tools that run here under their own ids.
BUILT_IN = frozenset(
    {
        "promptflow.tools.llm.llm",
        "promptflow.tools.llm_vision.llm_vision",
        "promptflow.tools.aoai_gpt4v.AzureOpenAI.chat",
        "promptflow.tools.openai_gpt4v.OpenAI.chat",
        "promptflow.tools.embedding.embedding",
        "promptflow.tools.serpapi.SerpAPI.search",
        "promptflow.tools.azure_content_safety.analyze_text",
        "content_safety_text.tools.content_safety_text_tool.analyze_text",
        "promptflow.tools.template_rendering.render_template_jinja2",
    }
)
# Tools whose package or service is gone: the beginning of their id, and what stands in.
RETIRED: Mapping[str, str] = {
    "promptflow_vectordb.tool.common_index_lookup": "query the index with the search service's own library",
    "promptflow_vectordb.tool.faiss_index_lookup": "load the index with faiss in a Python tool",
    "promptflow_vectordb.tool.vector_index_lookup": "load the index with faiss in a Python tool",
    "promptflow_vectordb.tool.vector_db_lookup": "query the vector store with its own library",
    "promptflow_vectordb": "its package was withdrawn",
    "embeddingstore.tool": "its package was withdrawn; query the vector store with its own library",
    "promptflow.tools.open_model_llm": "use a connection of type serverless or open_ai with the endpoint's address",
    "promptflow.tools.open_source_llm": "use a connection of type serverless or open_ai with the endpoint's address",
}


class ToolFate(NamedTuple):
    """Whether a package tool runs, and why not."""

    state: Literal["served", "retired", "unknown", "package"]
    reason: str = ""


def tool_fate(tool: str) -> ToolFate:
    """What becomes of a package tool.

    >>> tool_fate("promptflow.tools.embedding.embedding").state
    'served'
    >>> tool_fate("promptflow.tools.embeding.embedding").state
    'unknown'
    """
    if tool in BUILT_IN:
        return ToolFate("served")
    prefix = next((prefix for prefix in RETIRED if tool == prefix or tool.startswith(f"{prefix}.")), None)
    if prefix is not None:
        return ToolFate(
            "retired", f"the tool {tool!r} is retired: {RETIRED[prefix]}, or register an adapter for its id"
        )
    if tool.startswith("promptflow.tools."):
        return ToolFate("unknown", f"there is no tool {tool!r}. {suggest(tool, BUILT_IN)}")
    return ToolFate("package", f"the tool {tool!r} comes from a package that has to be installed")
