"""Which created objects' responses reached their client: a journal beside the database.

Without it a retried POST cannot be told from a second, wanted POST of the same text whose own first attempt was
lost. A database commit per response would halve the rate of creation; one ``write`` to a file costs microseconds
and outlives kill -9 just as well.
"""

import os
import threading
import time
from pathlib import Path

KEEP_SECONDS = 3600.0
ROTATE_BYTES = 4 * 1024**2


class Delivered:
    """Shared by every server on one home: appends are atomic."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._old = path.with_suffix(".old")
        self._lock = threading.Lock()
        self._size = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._open()

    def add(self, id: str) -> None:
        """Record that the response that told of ``id`` was handed to a connected client."""
        line = id.encode() + b"\n"
        with self._lock:
            os.write(self._file, line)
            self._size += len(line)
            if self._size > ROTATE_BYTES:
                self._rotate()

    def __contains__(self, id: str) -> bool:
        line = id.encode()
        return any(line in path.read_bytes().splitlines() for path in (self.path, self._old) if path.exists())

    def close(self) -> None:
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1

    def _open(self) -> int:
        if self.path.exists() and time.time() - self.path.stat().st_mtime > KEEP_SECONDS:
            self.path.unlink(missing_ok=True)  # no client retries for an hour
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._size = os.fstat(file).st_size
        return file

    def _rotate(self) -> None:
        os.close(self._file)
        self.path.replace(self._old)
        self._file = self._open()
