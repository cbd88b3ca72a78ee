"""One loop for every kind of work in the store: claim, perform, keep alive, give back.

``perform`` does the work and ends it itself, in the transaction that records the result
(``tx.work.finish(item)``). When it raises, the item is released and tried again later; when this process is
killed, its heartbeat stops and any other process takes the item.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable

from hypotez.store import Store, WorkItem
from hypotez.wire.ids import random_name

POLL_SECONDS = 0.5  # how late work that another process queued may be seen
SILENCE_SECONDS = 10.0  # a claim without a heartbeat for so long belongs to nobody

log = logging.getLogger(__name__)

Perform = Callable[[WorkItem], Awaitable[None]]


class Queue:
    """Performs items of one kind, ``concurrency`` at a time. Lives on one event loop; ``wake`` is for any thread."""

    def __init__(
        self,
        store: Store,
        kind: str,
        perform: Perform,
        *,
        concurrency: int,
        silence: float = SILENCE_SECONDS,
        poll: float = POLL_SECONDS,
    ) -> None:
        self.kind = kind
        self._store, self._perform = store, perform
        self._concurrency, self._silence, self._poll = concurrency, silence, poll
        self._owner = random_name(16)
        self._running: dict[asyncio.Task[None], WorkItem] = {}
        self._news = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._beaten = time.monotonic()

    def wake(self) -> None:
        """There is new work: look now, not at the next poll."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._news.set)

    async def run(self) -> None:
        """Until cancelled; then what runs is cancelled and given back at once."""
        self._loop = asyncio.get_running_loop()
        beating = asyncio.create_task(self._beat())
        try:
            while True:
                self._news.clear()
                try:
                    await self._claim()
                except Exception:  # a database that is busy or full now may be well again at the next poll
                    log.exception("could not look for work of kind %r", self.kind)
                # not ``wait_for``: before Python 3.12 it loses a cancellation that comes together with news
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._poll):
                        await self._news.wait()
        finally:
            beating.cancel()
            for task in self._running:
                task.cancel()
            await asyncio.gather(beating, *self._running, return_exceptions=True)

    async def _claim(self) -> None:
        room = self._concurrency - len(self._running)
        running = list(self._running.values())
        for item in await asyncio.to_thread(self._take, room, running) if room > 0 else ():
            task = asyncio.create_task(self._one(item))
            self._running[task] = item
            task.add_done_callback(self._ended)

    def _take(self, most: int, running: list[WorkItem]) -> list[WorkItem]:
        with self._store.read() as tx:  # most polls find nothing: do not take the writer's lock for that
            if not tx.work.free(self.kind, silence=self._silence):
                return []
        items: list[WorkItem] = []
        with self._store.write() as tx:
            # on a machine so busy that beats come late, this process must not rob itself
            for mine in running if time.monotonic() - self._beaten > self._silence / 2 else ():
                tx.work.beat(mine)
            while len(items) < most:
                item = tx.work.claim(self.kind, f"{self._owner}-{random_name(8)}", silence=self._silence)
                if item is None:
                    break
                items.append(item)
        return items

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        self._news.set()  # there is room again

    async def _one(self, item: WorkItem) -> None:
        try:
            await self._perform(item)
        except asyncio.CancelledError:
            await asyncio.shield(asyncio.to_thread(self._release, item, 0.0))
            raise
        except Exception:
            log.exception("%s %s failed; it will be tried again", item.kind, item.target)
            await asyncio.to_thread(self._release, item, time.time() + min(60.0, 2.0**item.attempts))

    def _release(self, item: WorkItem, due: float) -> None:
        with self._store.write() as tx:
            tx.work.release(item, due=due)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._silence / 4)
            running = dict(self._running)
            try:
                lost = await asyncio.to_thread(self._lost, list(running.values()))
            except Exception:  # the next beat is soon enough
                log.exception("could not keep %d of kind %r alive", len(running), self.kind)
                continue
            for task, item in running.items():
                if item.seq in lost and not task.done():
                    task.cancel()  # somebody else took it, or it was removed

    def _lost(self, items: list[WorkItem]) -> set[int]:
        """Say that the owner of ``items`` lives, in one transaction; returns those that are its own no more."""
        if not items:
            return set()
        with self._store.write() as tx:
            lost = {item.seq for item in items if not tx.work.beat(item)}
        self._beaten = time.monotonic()
        return lost
