"""Node results kept by content: the same work is not paid for twice."""

from genaiops.kept._key import content_key
from genaiops.kept._results import KeptResults, KeptStats

__all__ = ["KeptResults", "KeptStats", "content_key"]
