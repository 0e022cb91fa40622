"""An experiment drawn from its files: one page, tables, Markdown, JUnit, JSON. Computes nothing."""

from genaiops.reports._markdown import COMMENT_CHARACTERS, SHORT_CHARACTERS, SUMMARY_BYTES, markdown_report
from genaiops.reports._page import get_ready
from genaiops.reports._reading import read_story
from genaiops.reports._sheets import safe_cell
from genaiops.reports._story import Story
from genaiops.reports._write import FORMATS, write_reports

__all__ = [
    "COMMENT_CHARACTERS",
    "FORMATS",
    "SHORT_CHARACTERS",
    "SUMMARY_BYTES",
    "Story",
    "get_ready",
    "markdown_report",
    "read_story",
    "safe_cell",
    "write_reports",
]
