"""Writes the events of many runs together: a commit every few milliseconds instead of one per token.

Neighbouring deltas of a run become one row when they meet in the same batch, so the busier the server is, the longer
the deltas and the fewer the rows. Lives on one event loop.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence

from hypotez.errors import StorageError
from hypotez.store import Store
from hypotez.wire.run_events import Pair, merged

PAUSE_SECONDS = 0.02  # a token waits no longer than this before it is written
RETRY_SECONDS = 1.0

log = logging.getLogger(__name__)


class Journal:
    def __init__(self, store: Store, pause: float = PAUSE_SECONDS) -> None:
        self._store, self._pause = store, pause
        self._waiting: dict[str, list[Pair]] = {}
        self._writing: dict[str, list[Pair]] = {}
        self._news = asyncio.Event()
        self._written = asyncio.Condition()

    def add(self, stream: str, pairs: Sequence[Pair]) -> None:
        """Write soon. Events of one stream keep their order."""
        if pairs:
            self._waiting.setdefault(stream, []).extend(pairs)
            self._news.set()

    async def take(self, stream: str) -> list[Pair]:
        """The stream's events that are not written yet; the caller writes them, in its own transaction."""
        async with self._written:
            await self._written.wait_for(lambda: stream not in self._writing)
        return merged(self._waiting.pop(stream, []))

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            await self._write()
            await asyncio.sleep(self._pause)

    async def _write(self) -> None:
        self._writing, self._waiting = self._waiting, {}
        batch = {stream: merged(pairs) for stream, pairs in self._writing.items()}
        while batch:
            writing = asyncio.ensure_future(asyncio.to_thread(self._commit, batch))
            try:
                await asyncio.shield(writing)
                batch = {}
            except StorageError as exc:  # a full disk may have room again; the runs go on meanwhile
                log.error("%s Trying again.", exc)
                await asyncio.sleep(RETRY_SECONDS)
            except asyncio.CancelledError:
                with contextlib.suppress(StorageError):
                    await writing
                raise
        async with self._written:
            self._writing = {}
            self._written.notify_all()

    def _commit(self, batch: dict[str, list[Pair]]) -> None:
        with self._store.write() as tx:
            tx.events.extend_many(batch)
