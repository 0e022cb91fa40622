"""Private helpers of `promptflow` that examples and public flows import all the same."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import dataclasses
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from enum import Enum
from functools import wraps
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any, TextIO

from genaiops.flows import UserErrorException

logger = logging.getLogger("promptflow")
flow_logger = logging.getLogger("execution.flow")
bulk_logger = logging.getLogger("execution.bulk")


def get_logger(name: str) -> logging.Logger:
    """The logger of this name; where it writes is the host's choice."""
    found = logging.getLogger(name)
    if found.level == logging.NOTSET:
        found.setLevel(logging.INFO)
    return found


def get_cli_sdk_logger() -> logging.Logger:
    """The logger of the command line."""
    return get_logger("promptflow")


class LoggerFactory:
    """Makes loggers."""

    @staticmethod
    def get_logger(name: str, verbosity: int = logging.INFO, target_stdout: bool = False) -> logging.Logger:
        found = logging.getLogger(name)
        found.setLevel(verbosity)
        if target_stdout and not found.handlers:
            found.addHandler(logging.StreamHandler(sys.stdout))
        return found


def load_yaml(source: str | os.PathLike[str] | TextIO | None) -> Any:
    """The content of a YAML 1.2 file, comments kept; `{}` for none.

    Raises:
        UserErrorException: There is no such file.
    """
    if source is None:
        return {}
    if hasattr(source, "read"):
        return _round_trip().load(source) or {}
    try:
        text = Path(source).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UserErrorException(f"No such file or directory: {source}") from error
    return _round_trip().load(text) or {}


def load_yaml_string(yaml_string: str) -> Any:
    """The content of YAML 1.2 text."""
    return _round_trip().load(yaml_string)


def dump_yaml(data: Any, stream: TextIO) -> None:
    """Write data as YAML."""
    _round_trip().dump(data, stream)


def dump_yaml_to_string(data: Any) -> str:
    """Data as YAML text."""
    stream = StringIO()
    dump_yaml(data, stream)
    return stream.getvalue()


def _round_trip() -> Any:
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes = True
    return yaml


def load_json(file_path: str | os.PathLike[str]) -> Any:
    """The content of a JSON file, `{}` when it is empty."""
    text = Path(file_path).read_text(encoding="utf-8")
    return json.loads(text) if text.strip() else {}


def load_list_from_jsonl(file: str | os.PathLike[str]) -> list[Any]:
    """The lines of a JSON Lines file."""
    return [json.loads(line) for line in Path(file).read_text(encoding="utf-8").splitlines() if line.strip()]


def dump_list_to_jsonl(file_path: str | os.PathLike[str], list_data: Iterable[Any]) -> None:
    """Write a JSON Lines file."""
    lines = (json.dumps(item, ensure_ascii=False, default=str) for item in list_data)
    Path(file_path).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def try_import(module: str, error_message: str, raise_error: bool = True) -> Any:
    """The module, or the message when it is not installed."""
    try:
        return import_module(module)
    except ImportError as error:
        logger.warning("%s Root cause: %s", error_message, error)
        if raise_error:
            raise UserErrorException(f"{error_message} Root cause: {error!r}") from error
        return None


def count_and_log_progress(
    inputs: Sequence[Any],
    logger: logging.Logger,
    total_count: int,
    formatter: str = "{count} / {total_count} finished.",
) -> Iterator[Any]:
    """The items, with a line in the log after each."""
    for count, item in enumerate(inputs, start=1):
        yield item
        logger.info(formatter.format(count=count, total_count=total_count))


def async_run_allowing_running_loop(async_func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Run a coroutine function to its end, also when this thread's event loop is running."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(async_func(*args, **kwargs))
    results: list[Any] = []
    errors: list[BaseException] = []
    context = contextvars.copy_context()

    def run() -> None:
        try:
            results.append(context.run(asyncio.run, async_func(*args, **kwargs)))
        except BaseException as error:  # noqa: BLE001 - handed to the caller below
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


_directory_lock = threading.RLock()


@contextlib.contextmanager
def change_working_dir(path: str | os.PathLike[str] | None, mkdir: bool = True) -> Iterator[None]:
    """Work in another folder for a while; one at a time, because the folder belongs to the whole process."""
    with _directory_lock:
        before = Path.cwd()
        if path is not None:
            if mkdir:
                Path(path).mkdir(parents=True, exist_ok=True)
            os.chdir(path)
        try:
            yield
        finally:
            os.chdir(before)


@contextlib.contextmanager
def inject_sys_path(path: str | os.PathLike[str]) -> Iterator[None]:
    """Import from this folder first for a while."""
    sys.path.insert(0, str(path))
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(str(path))


class CredentialScrubber:
    """Replaces secrets by a mark."""

    PLACE_HOLDER = "**data_scrubbed**"

    def __init__(self) -> None:
        self.custom_str_set: set[str] = set()

    def add_str(self, s: str) -> None:
        if s:
            self.custom_str_set.add(s)

    def clear(self) -> None:
        self.custom_str_set.clear()

    def scrub(self, input: str) -> str:  # noqa: A002 - the word of the interface
        """The text without the secrets."""
        for secret in sorted(self.custom_str_set, key=len, reverse=True):
            input = input.replace(secret, self.PLACE_HOLDER)  # noqa: A001
        return input


def serialize(value: object, remove_null: bool = False, **_: Any) -> Any:
    """A value as JSON data: dataclasses as dictionaries, enums as values, times as ISO text."""
    if isinstance(value, datetime):
        return value.isoformat() + "Z"
    if isinstance(value, Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return {key: serialize(item, remove_null) for key, item in fields.items() if not (remove_null and item is None)}
    if isinstance(value, dict):
        return {key: serialize(item, remove_null) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [serialize(item, remove_null) for item in value]
    if hasattr(value, "serialize"):
        return value.serialize()
    return value


def retry(exception_to_check: Any, tries: int = 4, delay: float = 3, backoff: float = 2, logger: Any = None) -> Any:
    """Decorate a function to be tried again after these exceptions, waiting longer each time."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            wait = delay
            for _ in range(tries - 1):
                try:
                    return function(*args, **kwargs)
                except exception_to_check as error:
                    (logger or globals()["logger"]).warning("%s, retrying in %s seconds.", error, wait)
                    time.sleep(wait)
                    wait *= backoff
            return function(*args, **kwargs)

        return call

    return decorate


def async_retry(
    exception_to_check: Any, tries: int = 4, delay: float = 3, backoff: float = 2, _logger: Any = None
) -> Any:
    """As `retry`, for a coroutine function."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        async def call(*args: Any, **kwargs: Any) -> Any:
            wait = delay
            for _ in range(tries - 1):
                try:
                    return await function(*args, **kwargs)
                except exception_to_check as error:
                    (_logger or logger).warning("%s, retrying in %s seconds.", error, wait)
                    await asyncio.sleep(wait)
                    wait *= backoff
            return await function(*args, **kwargs)

        return call

    return decorate


def http_retry_wrapper(function: Callable[..., Any], tries: int = 4, delay: float = 3, backoff: float = 2) -> Any:
    """A function that returns a response, tried again while the response says 5xx or 429."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        wait = delay
        for _ in range(tries - 1):
            response = function(*args, **kwargs)
            if response.status_code < 500 and response.status_code != 429:
                return response
            time.sleep(wait)
            wait *= backoff
        return function(*args, **kwargs)

    return call


class AzureTokenProvider:
    """Bearer tokens of Microsoft Entra ID (extra `azure`)."""

    def get_token(self) -> str:
        """A token for Azure OpenAI."""
        from genaiops.connections import get_entra_token

        return get_entra_token()


def load_multimedia_data(inputs: Any, line_inputs: dict[str, Any]) -> dict[str, Any]:
    """Inputs with the image dictionaries in them turned into images."""
    from genaiops.prompts import load_images

    return {key: load_images(value) for key, value in line_inputs.items()}


def convert_multimedia_data_to_base64(value: Any, with_type: bool = False, **_: Any) -> Any:
    """A value with the images in it turned into base64 text, or into image dictionaries."""
    from genaiops.prompts import Image

    if isinstance(value, Image):
        return {f"data:{value._mime_type};base64": value.to_base64()} if with_type else value.to_base64()
    if isinstance(value, dict):
        return {key: convert_multimedia_data_to_base64(item, with_type) for key, item in value.items()}
    if isinstance(value, list):
        return [convert_multimedia_data_to_base64(item, with_type) for item in value]
    return value


def persist_multimedia_data(value: Any, base_dir: str | os.PathLike[str], **_: Any) -> Any:
    """A value with the images in it written to a folder and replaced by image dictionaries."""
    from genaiops.prompts import persist_images

    return persist_images(value, Path(base_dir))
