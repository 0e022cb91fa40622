"""How far the work is: a bar for a person, a plain line every few seconds otherwise; always on standard error."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import click

if TYPE_CHECKING:
    from genaiops.settings import Settings

LINE_EVERY_S = 5.0


class Progress:
    """Shows how much of something is done.

    Args:
        what: What is counted, in the plural.
        settings: Says whether a terminal looks.
        clock: For tests.
        enabled: Show nothing when false.

    Example:
        >>> from genaiops.settings import load_settings
        >>> with Progress("rows", load_settings()) as progress:
        ...     progress.at(1, 1)
    """

    def __init__(
        self,
        what: str,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.monotonic,
        enabled: bool = True,
    ) -> None:
        self._what = what
        self._clock = clock
        self._enabled = enabled
        self._draws = enabled and settings.is_terminal
        self._no_color = settings.no_color
        self._bar: Any = None
        self._task: Any = None
        self._started = self._last = clock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def at(self, done: int, total: int | None, remark: str = "") -> None:
        """Tell where the work stands.

        Args:
            done: How many are finished.
            total: Of how many; None when nobody knows.
            remark: A few words beside the number, such as `3 failed`.
        """
        if not self._enabled:
            return
        if self._draws:
            self._draw(done, total, remark)
            return
        now = self._clock()
        if now - self._last >= LINE_EVERY_S:
            self._last = now
            click.echo(self._line(done, total, remark, now - self._started), err=True)

    def _line(self, done: int, total: int | None, remark: str, elapsed_s: float) -> str:
        of = f"/{total}" if total else ""
        share = f" ({done / total:.0%})" if total else ""
        rate = f", {done / elapsed_s:.1f}/s" if elapsed_s > 0 else ""
        return f"{done}{of} {self._what}{share}{rate}{', ' + remark if remark else ''}"

    def _draw(self, done: int, total: int | None, remark: str) -> None:
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            console = Console(stderr=True, no_color=self._no_color)
            self._bar = Bar(*columns, TextColumn("{task.fields[remark]}"), console=console, transient=True)
            self._task = self._bar.add_task(self._what, total=total, remark="")
            self._bar.start()
        self._bar.update(self._task, completed=done, total=total, remark=remark)
