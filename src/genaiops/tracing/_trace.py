"""The decorator that makes a span of each call of a function."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, TypeVar, cast

from genaiops.tracing._spans import Span, current_span, start_span

Function = TypeVar("Function", bound=Callable[..., Any])

MAX_ATTRIBUTE_CHARACTERS = 8_000
_MARK = "__genaiops_traced__"
_END = object()


def trace(function: Function) -> Function:
    """Record each call of a function (plain, async, generator, async generator) as a span with inputs and output.

    Outside of a row the function is called as it is. An exception is recorded and goes on.

    >>> @trace
    ... def double(number: int) -> int:
    ...     return 2 * number
    >>> double(21)
    42
    """
    if getattr(function, _MARK, False):
        return function
    wrapper = _wrap(function)
    functools.update_wrapper(wrapper, function)
    setattr(wrapper, _MARK, True)
    return cast("Function", wrapper)


def _wrap(function: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.isasyncgenfunction(function):
        return _wrap_async_generator(function)
    if inspect.iscoroutinefunction(function):

        async def call_async(*args: Any, **kwargs: Any) -> Any:
            if current_span() is None:
                return await function(*args, **kwargs)
            with _span_of(function, args, kwargs) as span:
                return _set_output(span, await function(*args, **kwargs))

        return call_async
    if inspect.isgeneratorfunction(function):
        return _wrap_generator(function)

    def call(*args: Any, **kwargs: Any) -> Any:
        if current_span() is None:
            return function(*args, **kwargs)
        with _span_of(function, args, kwargs) as span:
            return _set_output(span, function(*args, **kwargs))

    return call


def _wrap_generator(function: Callable[..., Any]) -> Callable[..., Any]:
    def call_generator(*args: Any, **kwargs: Any) -> Iterator[Any]:
        span = _span_of(function, args, kwargs)
        items: list[Any] = []
        iterator = iter(function(*args, **kwargs))
        try:
            while True:
                # Current only while the function runs: whoever consumes the items is not part of this span.
                with span.active():
                    item = next(iterator, _END)
                if item is _END:
                    break
                items.append(item)
                yield item
            _set_output(span, items, iterated=True)
        except BaseException as error:
            span.end(error)
            raise
        finally:
            span.end()

    return call_generator


def _wrap_async_generator(function: Callable[..., Any]) -> Callable[..., Any]:
    async def call_async_generator(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        span = _span_of(function, args, kwargs)
        items: list[Any] = []
        iterator = aiter(function(*args, **kwargs))
        try:
            while True:
                with span.active():
                    item = await anext(iterator, _END)
                if item is _END:
                    break
                items.append(item)
                yield item
            _set_output(span, items, iterated=True)
        except BaseException as error:
            span.end(error)
            raise
        finally:
            span.end()

    return call_async_generator


def _span_of(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Span:
    span = start_span(function.__qualname__, "function")
    if span.recorder is not None:
        span.attributes["function"] = function.__qualname__
        span.attributes["inputs"] = _shown(_bind(function, args, kwargs))
    return span


def _bind(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    try:
        bound = inspect.signature(function).bind(*args, **kwargs).arguments
    except (TypeError, ValueError):
        return {"args": list(args), **kwargs}
    return {name: value for name, value in bound.items() if name != "self"}


def _set_output(span: Span, output: Any, *, iterated: bool = False) -> Any:
    if span.recorder is not None:
        span.attributes["output"] = _shown(output)
        if iterated:
            span.attributes["output_type"] = "iterated"
    return output


def _shown(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, default=repr)
    except (TypeError, ValueError, RecursionError):
        text = repr(value)
    if len(text) > MAX_ATTRIBUTE_CHARACTERS:
        return f"{text[:MAX_ATTRIBUTE_CHARACTERS]}… ({len(text)} characters)"
    return text
