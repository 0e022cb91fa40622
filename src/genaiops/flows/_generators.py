"""Generators on their way between nodes: handed on as they are, what was taken from them is remembered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from genaiops.flows._threads import is_left


class GeneratorProxy(Iterator[Any]):
    """An iterator that remembers the items it gave."""

    def __init__(self, iterator: Iterator[Any]) -> None:
        self._iterator = iterator
        self.items: list[Any] = []

    def __next__(self) -> Any:
        item = next(self._iterator)
        self.items.append(item)
        return item

    def close(self) -> None:
        """Stop the generator."""
        close = getattr(self._iterator, "close", None)
        if close is not None:
            close()


class AsyncGeneratorProxy(AsyncIterator[Any]):
    """An async iterator that remembers the items it gave."""

    def __init__(self, iterator: AsyncIterator[Any]) -> None:
        self._iterator = iterator
        self.items: list[Any] = []

    async def __anext__(self) -> Any:
        item = await anext(self._iterator)
        self.items.append(item)
        return item

    async def aclose(self) -> None:
        """Stop the generator."""
        close = getattr(self._iterator, "aclose", None)
        if close is not None:
            await close()


# Asked by exact type: the abstract classes behind these make `isinstance` slow, and every value of a row is asked.
PROXIES = frozenset({GeneratorProxy, AsyncGeneratorProxy})
_NEVER_ITERATORS = frozenset({dict, list, tuple, set}) | PROXIES


def watched(value: Any) -> Any:
    """`value`, or a proxy when it is an iterator."""
    if type(value) in _NEVER_ITERATORS:
        return value
    if isinstance(value, Iterator):
        return GeneratorProxy(value)
    if isinstance(value, AsyncIterator):
        return AsyncGeneratorProxy(value)
    return value


def joined(iterator: Iterator[Any]) -> str:
    """All items as one text, whatever their types.

    Raises:
        TimeoutError: Nobody waits for it any more; a generator that never ends would fill the memory.
    """
    pieces = []
    for item in iterator:
        if is_left():
            close = getattr(iterator, "close", None)
            if close is not None:
                close()
            raise TimeoutError("Nobody waits for the rest of this generator.")
        pieces.append(str(item))
    return "".join(pieces)


async def joined_async(iterator: AsyncIterator[Any]) -> str:
    """All items as one text, whatever their types."""
    return "".join([str(item) async for item in iterator])
