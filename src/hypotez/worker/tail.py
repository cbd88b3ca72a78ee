"""Follow event streams from any number of tasks: replay what is stored, then hear of every commit.

All followers of a process share one reader: a batch of commits costs one query however many streams are open. A
follower that is too slow for its memory goes back to reading its own stream from the store. Lives on one event loop.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator
from functools import partial

from hypotez.errors import StorageError
from hypotez.store import Event, Store, Transaction

AHEAD = 500  # events a slow follower may have waiting in memory
BATCH = 2000  # events of all streams read at once
TICK_SECONDS = 15.0  # how often a follower without events is woken
REPLAY = 200  # events of one stream read at once
LOOK_BACK = 64  # rows read again: on PostgreSQL a smaller number can commit after a greater one

log = logging.getLogger(__name__)


class _Follower:
    def __init__(self) -> None:
        self.waiting: deque[Event] = deque()
        self.behind = True  # must read its stream from the store
        self.news = asyncio.Event()

    def tell(self, event: Event) -> None:
        if len(self.waiting) >= AHEAD:
            self.waiting.clear()
            self.behind = True
        if not self.behind:
            self.waiting.append(event)
        self.news.set()


class Tail:
    def __init__(self, store: Store, tick: float = TICK_SECONDS) -> None:
        self._store, self._seconds = store, tick
        self._followers: dict[str, set[_Follower]] = {}
        self._news = asyncio.Event()
        self._seen = 0
        self._known: set[int] = set()  # told already, among the rows that are read again
        self._tasks: list[asyncio.Task[None]] = []
        self._started = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def follow(self, stream: str, after: int = 0) -> AsyncGenerator[list[Event]]:
        """Every event of the stream with a greater ``seq``, in order, for ever; those that are there together come
        together. An empty list every ``tick`` seconds when there is none. Close the iterator to stop.
        """
        self._loop = asyncio.get_running_loop()
        me = _Follower()
        with self._store.hub.listening(stream, self._told):
            self._followers.setdefault(stream, set()).add(me)
            try:
                await self._start_reading()
                while True:
                    if me.behind:
                        me.behind = False  # what is told from now on waits in memory
                        events = await self._store.look(partial(_stored, stream, after))
                        me.behind = me.behind or len(events) == REPLAY
                    else:
                        events = list(me.waiting)
                        me.waiting.clear()
                    events = [event for event in events if event.seq > after]
                    if events:
                        after = events[-1].seq
                        yield events
                    if not me.waiting and not me.behind:
                        me.news.clear()
                        await me.news.wait()
                        if not me.waiting and not me.behind:
                            yield []
            finally:
                self._leave(stream, me)

    def _told(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._news.set)

    def _leave(self, stream: str, follower: _Follower) -> None:
        self._followers[stream].discard(follower)
        if not self._followers[stream]:
            del self._followers[stream]
        if not self._followers:
            for task in self._tasks:
                task.cancel()
            self._tasks = []

    async def _start_reading(self) -> None:
        """Return when whatever is committed from now on will be told."""
        if not self._tasks:
            self._started = asyncio.Event()
            self._tasks = [asyncio.create_task(work) for work in (self._read(self._started), self._tick())]
        await self._started.wait()

    async def _read(self, started: asyncio.Event) -> None:
        self._seen, self._known = await asyncio.to_thread(self._newest), set()
        started.set()
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                while await self._tell_new() == BATCH:
                    pass
            except StorageError as exc:
                log.error("%s Reading events again.", exc)
                self._news.set()
                await asyncio.sleep(1.0)

    async def _tick(self) -> None:
        """One clock for all followers: a timer for each, set anew with every event, would cost more than the event."""
        while True:
            await asyncio.sleep(self._seconds)
            for followers in self._followers.values():
                for follower in followers:
                    follower.news.set()

    async def _tell_new(self) -> int:
        events = await asyncio.to_thread(self._new)
        for event in events:
            if event.seq not in self._known:
                for follower in self._followers.get(event.stream, ()):
                    follower.tell(event)
        self._seen = events[-1].seq if events else self._seen
        self._known = {event.seq for event in events if event.seq > self._seen - LOOK_BACK}
        return len(events)

    def _newest(self) -> int:
        with self._store.read() as tx:
            return tx.events.last()

    def _new(self) -> list[Event]:
        with self._store.read() as tx:
            return tx.events.since(self._seen - LOOK_BACK, limit=BATCH)


def _stored(stream: str, after: int, tx: Transaction) -> list[Event]:
    return tx.events.after(stream, after, limit=REPLAY)
