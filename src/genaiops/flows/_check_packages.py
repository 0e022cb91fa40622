"""What becomes of the package tools that a flow names."""

from __future__ import annotations

from typing import Literal, NamedTuple

from genaiops.errors import suggest
from genaiops.flows._check_graph import mapping
from genaiops.flows._check_imports import has_requirements
from genaiops.flows._check_report import Report
from genaiops.flows._check_survey import FlowSurvey
from genaiops.flows._failures import how_to_offer


class ToolFate(NamedTuple):
    """Whether a package tool runs here, and what to do when it does not."""

    state: Literal["served", "retired", "unknown", "package"]
    reason: str = ""
    hint: str | None = None


def tool_fate(tool: str) -> ToolFate:
    """What becomes of a package tool; no package is imported to tell.

    >>> tool_fate("promptflow.tools.embedding.embedding").state
    'served'
    >>> tool_fate("promptflow.tools.embeding.embedding").state
    'unknown'
    """
    from genaiops.flows._model_nodes import TEMPLATE_TOOLS
    from genaiops.prompts import PACKAGE_TOOLS, retired_tool_hint

    callable_here = {*PACKAGE_TOOLS, *TEMPLATE_TOOLS}
    if tool in callable_here or _is_offered(tool):
        return ToolFate("served")
    if (hint := retired_tool_hint(tool)) is not None:
        return ToolFate("retired", f"The tool {tool!r} is retired.", hint)
    if tool.startswith("promptflow.tools."):
        return ToolFate("unknown", f"There is no tool {tool!r}.", suggest(tool, callable_here))
    return ToolFate("package", f"No installed package offers the tool {tool!r}.", how_to_offer(tool))


def check_package_tools(survey: FlowSurvey, report: Report) -> None:
    """Report package tools that cannot run on this machine."""
    may_be_installed_later = has_requirements(survey)
    for body in survey.bodies:
        tool = mapping(body.data.get("source")).get("tool")
        if not isinstance(tool, str) or survey.document is None:
            continue
        fate = tool_fate(tool)
        if fate.state == "served" or (fate.state == "package" and may_be_installed_later):
            continue
        report.error(
            "PackageToolNotFoundError",
            f"{body.title}: {fate.reason}",
            file=survey.document.path,
            line=survey.document.line(*body.place, "source", "tool"),
            node=body.name,
            hint=fate.hint,
        )


def _is_offered(tool: str) -> bool:
    """Whether an installed package of the tool's name says that it has tools."""
    from importlib.metadata import entry_points

    packages = {entry.value.partition(".")[0].partition(":")[0] for entry in entry_points(group="package_tools")}
    # What promptflow-tools offers is served here and told one by one.
    return tool.partition(".")[0] in packages - {"promptflow"}
