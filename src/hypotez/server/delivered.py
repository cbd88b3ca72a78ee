"""Which created objects' responses reached their client: a memory that outlives kill -9.

Without it a retried POST cannot be told from a second, wanted POST of the same text whose own first attempt was
lost. A database commit per response would halve the rate of creation; a store into a mapped file costs next to
nothing, and what is in it belongs to the system's page cache, not to this process.
"""

import hashlib
import logging
import mmap
import os
import threading
import time
from pathlib import Path

from hypotez.wire.ids import random_name

KEEP_SECONDS = 3600.0  # no client retries for an hour
MARK = 16  # bytes of an id's digest
RING = 4 * 1024**2  # bytes per process: the last 262,144 objects
PIECE = 64 * 1024  # bytes of it that are given room on the disk at once

log = logging.getLogger(__name__)


class Delivered:
    """One ring of marks per process in a folder that every server of a home shares."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._at = 0
        folder.mkdir(parents=True, exist_ok=True)
        self._sweep()
        self._file = (folder / f"{random_name(12)}.ring").open("x+b", buffering=0)
        self._file.truncate(RING)  # sparse: it takes the room of what is in it
        self._ring = mmap.mmap(self._file.fileno(), RING)
        self._room = 0

    def add(self, id: str) -> None:
        """Record that the response that told of ``id`` was handed to a connected client."""
        with self._lock:
            if self._at == self._room and not self._grow():
                return
            self._ring[self._at : self._at + MARK] = _mark(id)
            self._at = (self._at + MARK) % RING

    def __contains__(self, id: str) -> bool:
        mark = _mark(id)
        return any(_holds(path.read_bytes(), mark) for path in self.folder.glob("*.ring"))

    def clear(self) -> None:
        """Forget everything that this process knows."""
        with self._lock:
            self._ring[: self._room] = bytes(self._room)

    def close(self) -> None:
        with self._lock:
            if not self._ring.closed:
                self._ring.flush()
                self._ring.close()
                self._file.close()

    def _grow(self) -> bool:
        """Give the next piece room: a store into a page that the full disk has none for ends the process (SIGBUS)."""
        try:
            self._room += os.pwrite(self._file.fileno(), bytes(PIECE), self._room)
        except OSError as exc:  # not known as delivered: at worst a retry gets the object of an equal request
            log.warning("cannot record what was delivered: %s", exc)
            return False
        return True

    def _sweep(self) -> None:
        """Remove the rings of processes that are long gone; a mapped file's time changes when it is written."""
        for path in self.folder.glob("*.ring"):
            if time.time() - path.stat().st_mtime > KEEP_SECONDS:
                path.unlink(missing_ok=True)


def _mark(id: str) -> bytes:
    return hashlib.blake2b(id.encode(), digest_size=MARK).digest()


def _holds(ring: bytes, mark: bytes) -> bool:
    at = ring.find(mark)
    while at >= 0 and at % MARK:
        at = ring.find(mark, at + 1)
    return at >= 0
