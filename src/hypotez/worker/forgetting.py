"""Clears the events of runs that ended long ago: a stream can be replayed for a while, not for ever.

A run itself keeps its state, its messages and its steps; who follows one whose events are gone is told how it ended.
"""

import asyncio
import logging
import time

from hypotez.errors import StorageError
from hypotez.store import Event, Store
from hypotez.wire.run_events import LAST

KEEP_SECONDS = 24 * 3600.0
LOOK_SECONDS = 600.0  # between two looks for what is old enough; less where events are kept for less
BATCH = 1000  # events read at once
ENDINGS = LAST | {"error", "deleted"}  # nothing is told after one of these

log = logging.getLogger(__name__)


async def forget(store: Store, keep: float = KEEP_SECONDS) -> None:
    """Until cancelled, clear the events of runs that ended more than ``keep`` seconds ago."""
    while True:
        try:
            await asyncio.to_thread(forget_before, store, time.time() - keep)
        except StorageError as exc:  # a full disk: what could be cleared now can be cleared later
            log.warning("%s Old events are cleared later.", exc)
        await asyncio.sleep(min(LOOK_SECONDS, keep))


def forget_before(store: Store, moment: float) -> int:
    """Clear the events of runs that ended before a time in unix seconds; returns how many runs those were."""
    after, cleared = 0, 0
    while events := _old(store, after, moment):
        after = events[-1].seq
        ended = {event.stream for event in events if event.type in ENDINGS}
        if ended:
            with store.write() as tx:
                for stream in ended:
                    tx.events.delete(stream)
        cleared += len(ended)
    return cleared


def _old(store: Store, after: int, moment: float) -> list[Event]:
    """The next events that are older than ``moment``: numbers grow with time, so the first younger one ends it."""
    with store.read() as tx:
        events = tx.events.since(after, limit=BATCH)
    young = next((place for place, event in enumerate(events) if event.at >= moment), len(events))
    return events[:young]
