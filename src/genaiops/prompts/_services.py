"""Which models and connections a call from user code reaches."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

from genaiops.records import record

if TYPE_CHECKING:
    from genaiops.connections import ConnectionStore, Models


@record(frozen=True, kw_only=True)
class PromptServices:
    """What prompts that user code calls work with.

    Args:
        models: Reaches models.
        connections: Finds connections by name.
        folder: Where relative paths given to `Prompty.load` start; the working directory when None.
        environ: Variables for `${env:NAME}`; those of the process and of `.env` when None.
        repeat: Which of several equal runs this is: decides which of several recorded replies a call gets.
    """

    models: Models
    connections: ConnectionStore
    folder: Path | None = None
    environ: Mapping[str, str] | None = None
    repeat: int | None = None


current_services: ContextVar[PromptServices | None] = ContextVar("genaiops_prompt_services", default=None)

_default: PromptServices | None = None
_default_lock = threading.Lock()


@contextlib.contextmanager
def use_services(services: PromptServices) -> Iterator[PromptServices]:
    """Let calls from user code inside the block, and in tasks and threads it starts, use these services."""
    token = current_services.set(services)
    try:
        yield services
    finally:
        current_services.reset(token)


def set_default_services(services: PromptServices | None) -> None:
    """What calls use where no block says otherwise; None: services made from the environment.

    A thread that user code starts has no context of ours, so one host has one default.
    """
    global _default
    _default = services


def get_services() -> PromptServices:
    """The services of the current block; else the default ones, made from the environment once."""
    global _default
    services = current_services.get()
    if services is not None:
        return services
    with _default_lock:
        if _default is None:
            from genaiops.connections import ConnectionStore, Models
            from genaiops.settings import load_settings

            settings = load_settings()
            _default = PromptServices(models=Models(), connections=ConnectionStore.load(settings))
        return _default


def current_environ() -> Mapping[str, str]:
    """Variables for `${env:NAME}`: read afresh, because flow code loads `.env` files of its own."""
    services = current_services.get() or _default
    if services is not None and services.environ is not None:
        return services.environ
    from genaiops.settings import load_settings

    return load_settings().environ
