"""Names and versions for what we keep."""

from genaiops.registry._digest import tree_digest, tree_files
from genaiops.registry._file_registry import FileRegistry, Kind, Version

__all__ = ["FileRegistry", "Kind", "Version", "tree_digest", "tree_files"]
