"""Rows: read, check, digest."""

from genaiops.datasets._files import SUFFIXES, data_files
from genaiops.datasets._read import OnBadRow, read_rows
from genaiops.datasets._records import BadRow, Columns, Row, Scan
from genaiops.datasets._scan import columns, digest, scan

__all__ = [
    "SUFFIXES",
    "BadRow",
    "Columns",
    "OnBadRow",
    "Row",
    "Scan",
    "columns",
    "data_files",
    "digest",
    "read_rows",
    "scan",
]
