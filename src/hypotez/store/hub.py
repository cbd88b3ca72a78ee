"""Wakes whoever follows a stream: at once for this process's own commits, by a light poll for other processes'.

A listener is a plain callable, called from any thread; asyncio code passes
``lambda: loop.call_soon_threadsafe(event.set)``.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

POLL_SECONDS = 0.2  # how late another process's event may be seen
LOOK_BACK = 64  # rows read again: on PostgreSQL a smaller number can commit after a greater one

log = logging.getLogger(__name__)


class Hub:
    def __init__(self, streams_after: Callable[[int | None], tuple[int, set[str]]]) -> None:
        self._streams_after = streams_after
        self._listeners: dict[str, list[Callable[[], None]]] = {}
        self._lock = threading.Lock()
        self._poller: threading.Thread | None = None
        self._closed = threading.Event()

    @contextmanager
    def listening(self, stream: str, listener: Callable[[], None]) -> Iterator[None]:
        """Call ``listener`` after every append to ``stream``, once however many of its streams it was; spurious
        calls happen.
        """
        with self._lock:
            self._listeners.setdefault(stream, []).append(listener)
            if self._poller is None and not self._closed.is_set():
                self._poller = threading.Thread(target=self._poll, name="hypotez-hub", daemon=True)
                self._poller.start()
        try:
            yield
        finally:
            with self._lock:
                self._listeners[stream].remove(listener)
                if not self._listeners[stream]:
                    del self._listeners[stream]

    def tell(self, streams: Iterable[str]) -> None:
        with self._lock:
            heard = {listener for stream in streams for listener in self._listeners.get(stream, ())}
        for listener in heard:
            listener()

    def _poll(self) -> None:
        seen: int | None = None
        while not self._closed.wait(POLL_SECONDS):
            if not self._listeners:
                continue
            try:
                seen, streams = self._streams_after(None if seen is None else seen - LOOK_BACK)
            except Exception:  # a poll that failed once is tried again; its loss would freeze every stream
                log.exception("could not look for new events")
                continue
            self.tell(streams)

    def close(self) -> None:
        self._closed.set()
