"""Results by key, for the rows of this process and through a file for all others."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple

from genaiops.kept._file import ResultsFile

_log = logging.getLogger(__name__)
_MAX_BYTES = 2 * 1024**3
_encode = json.JSONEncoder(ensure_ascii=False).encode


class Shared(NamedTuple):
    """A result and how it was come by."""

    value: dict[str, Any]
    how: Literal["fresh", "kept", "shared"]


@dataclass(slots=True)
class KeptStats:
    """How often a result was there (`kept`), came from a call under way (`shared`), or had to be made (`fresh`)."""

    kept: int = 0
    shared: int = 0
    fresh: int = 0


class KeptResults:
    """Results in `results.sqlite` of a folder: many processes may use it at once, and it never grows without bound.

    What is put is on disk within a second. A file that is broken is set aside with a warning and never fails a run.

    Args:
        folder: Made when the first result is kept.
        max_bytes: Bound on the kept values; the least recently used go first.
        holds_secret: Whether a result holds a secret; such results are not kept.

    >>> import asyncio, tempfile
    >>> async def main(folder: Path) -> list[str]:
    ...     with KeptResults(folder) as kept:
    ...         async def make() -> dict[str, str]:
    ...             return {"output": "Paris"}
    ...         return [(await kept.share("key", make)).how for _ in range(2)]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     asyncio.run(main(Path(folder)))
    ['fresh', 'kept']
    """

    def __init__(
        self, folder: Path, *, max_bytes: int = _MAX_BYTES, holds_secret: Callable[[str], bool] = lambda _: False
    ) -> None:
        self.stats = KeptStats()
        self._holds_secret = holds_secret
        self._file = ResultsFile(folder / "results.sqlite", max_bytes=max_bytes)
        self._making: dict[tuple[int, str], asyncio.Future[str]] = {}

    async def get(self, key: str) -> dict[str, Any] | None:
        """The result, a copy of one's own; None when it is not kept."""
        text = self._file.get(key)
        return _loads(text) if text is not None else None

    async def put(self, key: str, value: dict[str, Any]) -> None:
        """Keep a result.

        Raises:
            TypeError: It has no JSON form.
        """
        self._keep(key, _encode(value))

    async def share(self, key: str, make: Callable[[], Awaitable[dict[str, Any]]]) -> Shared:
        """The result: kept, from somebody who is making it at this moment, or made now and kept.

        When the one who makes it fails, all who wait get the same error; when it is cancelled, the next one makes it.

        Args:
            key: From `content_key`.
            make: Makes the result; it must have a JSON form.

        Returns:
            The result (a copy of one's own) and whether it is `fresh`, `kept` or `shared`.
        """
        place = (id(asyncio.get_running_loop()), key)
        while True:
            making = self._making.get(place)
            if making is None:
                kept = await self.get(key)
                if kept is not None:
                    self.stats.kept += 1
                    return Shared(kept, "kept")
                return await self._make(place, make)
            try:
                text = await asyncio.shield(making)
            except asyncio.CancelledError:
                if making.cancelled():
                    continue  # the maker was cancelled, we were not
                raise
            self.stats.shared += 1
            return Shared(json.loads(text), "shared")

    def _keep(self, key: str, text: str) -> None:
        # Blanked, it would be another result than the fresh one: what holds a secret is made anew each time.
        if not self._holds_secret(text):
            self._file.put(key, text)

    def flush(self) -> None:
        """Wait until everything that was put is in the file."""
        self._file.flush()

    def close(self) -> None:
        """Write what is left and close the file."""
        self._file.close()

    def __enter__(self) -> KeptResults:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _make(self, place: tuple[int, str], make: Callable[[], Awaitable[dict[str, Any]]]) -> Shared:
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._making[place] = future
        try:
            value = await make()
            text = _encode(value)
        except asyncio.CancelledError:
            future.cancel()
            raise
        except BaseException as error:
            future.set_exception(error)
            future.exception()  # nobody may be waiting
            raise
        finally:
            del self._making[place]
        future.set_result(text)
        self._keep(place[1], text)
        self.stats.fresh += 1
        return Shared(value, "fresh")


def _loads(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
