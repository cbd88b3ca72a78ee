"""Transactions of many tasks in one: what arrives together, or while the disk is busy, shares one commit.

A commit costs as much as several inserts and a thread's wake-up as much again, so a server that paid both for every
request would spend most of its time on them. Nobody hears of a result before the commit that keeps it.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeVar

from hypotez.store.transaction import Transaction

MOST = 256  # transactions in one commit: the first of them should not wait for a thousand others

T = TypeVar("T")
Outcome = tuple["_Asked", Any, BaseException | None]


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    work: Callable[[Transaction], Any]
    answer: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop


class Together:
    """``write`` opens a transaction of the store. Serves tasks of any event loop; its one thread starts when needed."""

    def __init__(self, write: Callable[[], AbstractContextManager[Transaction]]) -> None:
        self._write = write
        self._thread = ThreadPoolExecutor(1, "hypotez-writer")
        self._lock = threading.Lock()
        self._asked: list[_Asked] = []
        self._awake = False  # the thread looks for more before it rests

    async def commit(self, work: Callable[[Transaction], T]) -> T:
        """The result of ``work`` once it is committed, or its exception; then nothing of it is kept."""
        loop = asyncio.get_running_loop()
        asked = _Asked(work, loop.create_future(), loop)
        with self._lock:
            self._asked.append(asked)
            asleep, self._awake = not self._awake, True
        if asleep:
            loop.call_soon(self._wake)  # not at once: the other requests of this turn of the loop come along
        result: T = await asked.answer
        return result

    def close(self) -> None:
        """What was asked for is written."""
        self._thread.shutdown()

    def _wake(self) -> None:
        self._thread.submit(self._run)

    def _run(self) -> None:
        while asked := self._next():
            outcomes = self._committed(asked)
            for loop in {one.loop for one in asked}:
                if not loop.is_closed():
                    loop.call_soon_threadsafe(_tell, [outcome for outcome in outcomes if outcome[0].loop is loop])

    def _next(self) -> list[_Asked]:
        with self._lock:
            asked, self._asked = self._asked[:MOST], self._asked[MOST:]
            self._awake = bool(asked)
        return asked

    def _committed(self, asked: list[_Asked]) -> list[Outcome]:
        try:
            with self._write() as tx:
                return [_tried(tx, one) for one in asked]
        except Exception as exc:  # the commit itself failed, for all of them
            return [(one, None, exc) for one in asked]


def _tried(tx: Transaction, asked: _Asked) -> Outcome:
    try:
        with tx.part() as part:
            return asked, asked.work(part), None
    except Exception as exc:
        return asked, None, exc


def _tell(outcomes: list[Outcome]) -> None:
    for asked, result, failure in outcomes:
        if asked.answer.done():
            continue  # its task was cancelled
        if failure is None:
            asked.answer.set_result(result)
        else:
            asked.answer.set_exception(failure)
