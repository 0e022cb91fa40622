"""Parquet, through the extra `parquet`."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from genaiops.errors import DataError, MissingExtraError

_BATCH_ROWS = 1024


def read_parquet(path: Path) -> Iterator[tuple[int, dict[str, Any] | DataError]]:
    """Each row and its number, counted from 1; values are those that JSON has.

    Raises:
        MissingExtraError: pyarrow is not installed.
        DataError: The file is not Parquet.
    """
    try:
        from pyarrow import ArrowException, ArrowInvalid  # noqa: F401 - both names exist since pyarrow 0.17
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise MissingExtraError("pyarrow", extra="parquet", purpose="to read Parquet files") from error
    line = 0
    try:
        with ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                for values in batch.to_pylist():
                    line += 1
                    yield line, {name: _plain(value) for name, value in values.items()}
    except (ArrowException, OSError) as error:
        raise DataError(f"The file is not readable as Parquet: {error}", file=path) from error


def _plain(value: Any) -> Any:
    """A value as JSON would hold it: dates as ISO text, bytes as base64 text."""
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return value
