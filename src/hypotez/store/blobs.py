"""File contents beside the database: written whole under a temporary name, then renamed into place."""

import errno
import hashlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from hypotez.errors import NotFound, StorageError


class Blobs:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, id: str) -> Path:
        """Where the blob lies. Ids are ours, never a client's file name; anything else is refused."""
        if not id.replace("-", "").replace("_", "").isalnum():
            raise NotFound(f"No such File object: {id}", param="id")
        return self.folder / id

    def put(self, id: str, parts: Iterable[bytes]) -> tuple[int, str]:
        """Store the parts under ``id``; returns (bytes, sha256 in hex). On ``StorageError`` nothing is left."""
        size, digest = 0, hashlib.sha256()
        target = self.path(id)
        temporary = ""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.folder, prefix=".", delete=False) as out:
                temporary = out.name
                for part in parts:
                    out.write(part)
                    digest.update(part)
                    size += len(part)
                out.flush()
                os.fsync(out.fileno())
            Path(temporary).replace(target)
        except OSError as exc:
            if temporary:
                Path(temporary).unlink(missing_ok=True)
            reason = "the disk is full" if exc.errno == errno.ENOSPC else str(exc)
            raise StorageError(f"Cannot store a file of {size} or more bytes in {self.folder}: {reason}.") from exc
        except BaseException:
            if temporary:
                Path(temporary).unlink(missing_ok=True)
            raise
        return size, digest.hexdigest()

    def open(self, id: str) -> Path:
        """The blob's path; ``NotFound`` when there is none."""
        path = self.path(id)
        if not path.exists():
            raise NotFound(f"No such File object: {id}", param="id")
        return path

    def delete(self, id: str) -> None:
        self.path(id).unlink(missing_ok=True)
