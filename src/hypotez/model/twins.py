"""The few pieces that differ between the async class and its generated twin: each under both names.

``scripts/unasync.py`` turns ``async_sleep`` into ``sleep`` and ``AsyncListing`` into ``Listing``.
"""

import asyncio
import functools
import inspect
import logging
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import Any, ParamSpec, TypeVar, cast

from hypotez.errors import HypotezError

P = ParamSpec("P")
T = TypeVar("T")

AsyncLock = asyncio.Lock
Lock = threading.RLock
_logger = logging.getLogger("hypotez.model")


async def async_sleep(seconds: float) -> None:
    await asyncio.sleep(seconds)


def sleep(seconds: float) -> None:
    time.sleep(seconds)


async def async_apart(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Blocking work, kept off the event loop."""
    return await asyncio.to_thread(function, *args, **kwargs)


def apart(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    return function(*args, **kwargs)


async def async_emit(on_token: Callable[[str], object], piece: str) -> None:
    """Call the user's function, which may be a coroutine function."""
    outcome = on_token(piece)
    if inspect.isawaitable(outcome):
        await outcome


def emit(on_token: Callable[[str], object], piece: str) -> None:
    on_token(piece)


async def async_gather(calls: Sequence[Callable[[], Awaitable[T]]], concurrency: int) -> list[T]:
    """The results in order, so many at once. The first error cancels what has not begun."""
    gate = asyncio.Semaphore(concurrency)

    async def one(call: Callable[[], Awaitable[T]]) -> T:
        async with gate:
            return await call()

    tasks = [asyncio.ensure_future(one(call)) for call in calls]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()


def gather(calls: Sequence[Callable[[], T]], concurrency: int) -> list[T]:
    with ThreadPoolExecutor(concurrency) as pool:
        futures = [pool.submit(call) for call in calls]
        try:
            return [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()


class AsyncListing:
    """``await model.list_models`` and ``await model.list_models()``: the same list."""

    def __init__(self, fetch: Callable[[], Coroutine[Any, Any, list[str]]]) -> None:
        self._fetch = fetch

    def __await__(self) -> Generator[Any, None, list[str]]:
        return self._fetch().__await__()

    def __call__(self) -> Coroutine[Any, Any, list[str]]:
        return self._fetch()


class Listing(list[str]):
    """``model.list_models`` and ``model.list_models()``: the same list."""

    def __init__(self, fetch: Callable[[], list[str]]) -> None:
        super().__init__(fetch())

    def __call__(self) -> list[str]:
        return list(self)


def async_forgiving(
    empty: Callable[[], Any],
) -> Callable[[Callable[P, Coroutine[Any, Any, T]]], Callable[P, Coroutine[Any, Any, T]]]:
    """With ``on_error='none'`` the method logs its error and returns ``empty()``. The first argument is the model."""

    def decorate(method: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        @functools.wraps(method)
        async def forgiving_method(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return await method(*args, **kwargs)
            except Exception as exc:
                return cast(T, forgive(args[0], exc, method.__name__, empty))  # the documentation's None

        return forgiving_method

    return decorate


def forgiving(empty: Callable[[], Any]) -> Callable[[Callable[P, T]], Callable[P, T]]:
    def decorate(method: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(method)
        def forgiving_method(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return method(*args, **kwargs)
            except Exception as exc:
                return cast(T, forgive(args[0], exc, method.__name__, empty))

        return forgiving_method

    return decorate


def forgive(model: Any, error: Exception, doing: str, empty: Callable[[], Any] = lambda: None) -> Any:
    """``empty()``, with the error logged, where the model forgives and the error is one a user may meet; else raise."""
    from openai import OpenAIError

    if model.on_error != "none" or not isinstance(error, (HypotezError, OpenAIError)):
        raise error
    hint = getattr(error, "hint", None)
    _logger.error("%s failed: %s%s", doing, error, f" {hint}" if hint else "")
    return empty()


async def async_forgiven(model: Any, pieces: AsyncGenerator[str, None]) -> AsyncGenerator[str, None]:
    """A stream that ends, with the error logged, where the model forgives."""
    try:
        async with aclosing(pieces):  # ``async for`` alone would not pass on that the reader left
            async for piece in pieces:
                yield piece
    except Exception as exc:
        forgive(model, exc, "ask")


def forgiven(model: Any, pieces: Generator[str, None, None]) -> Generator[str, None, None]:
    try:
        yield from pieces
    except Exception as exc:
        forgive(model, exc, "ask")
