"""The dialogue file: valid JSON at every instant, and as cheap at message ten thousand as at message one.

A write() is no promise: SIGKILL may cut it at a page boundary, a full disk anywhere. So nobody ever sees
a file that is being written. Two copies lie hidden beside the dialogue, and its name is a hard link to the
complete one; a message goes to the other copy (together with the message that copy missed), and one
``rename`` moves the name over. The work per message is two messages long, whatever the dialogue's length,
and a kill between any two instructions leaves the old file or the new one.

Knows nothing about what an entry means. POSIX only (hard links, ``flock``); on a file system without hard
links a copy takes the link's place, which is slower and just as safe.
"""

import contextlib
import fcntl
import json
import logging
import os
import re
import shutil
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypotez.errors import StorageError

Entry = Mapping[str, Any]

_TAIL = b"\n]\n"
_STALE_SECONDS = 60.0  # a hidden copy this old whose lock is free belongs to a process that was killed
_BEGINNING = re.compile(r"\s*($|\[\s*($|\{))")  # of a dialogue, however torn
_OTHER_PATH = "Give another dialogue_log_path."
_logger = logging.getLogger(__name__)


class DialogueLog:
    """One dialogue in one JSON file (a list of entries, indented, UTF-8 as written).

    Nothing is created before the first ``save``. One process at a time: a second one that opens the same
    path gets ``StorageError``. Threads may save at once; the last list saved is what the file holds.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.count = 0  # entries on disk
        self._lock = threading.Lock()
        self._copies: list[_Copy] = []  # the last one is hidden, the first one bears the name
        self._release: Callable[[], object] = lambda: None

    def load(self) -> list[dict[str, Any]]:
        """The entries already in the file. A torn end is mended: whole entries stay, the original is kept aside."""
        if not self.path.exists():
            return []
        try:
            text = self.path.read_bytes().decode("utf-8", errors="replace")
        except OSError as exc:
            raise StorageError(f"{self.path}: cannot be read: {exc.strerror}.") from exc
        entries = parse(text)
        if entries is None:
            entries = _salvage(text)
            if not _BEGINNING.match(text):
                raise StorageError(f"{self.path} is not a dialogue (a JSON list of messages).", hint=_OTHER_PATH)
            self._set_aside(len(entries))
            self.save(entries, changed=True)
        self.count = len(entries)
        return entries

    def save(self, entries: Sequence[Entry], *, changed: bool = False) -> None:
        """Make the file hold exactly ``entries``; only those beyond the last save cost anything.

        ``changed`` says that earlier entries are different now, and writes all of them. Raises
        ``StorageError``; the file then still holds what it held, and the next ``save`` makes good.
        """
        with self._lock:
            self._save(entries, changed)

    def close(self) -> None:
        """Remove the hidden copies; the dialogue file stays. Safe to call twice."""
        self._release()
        self._copies = []

    def _save(self, entries: Sequence[Entry], changed: bool) -> None:
        length = len(entries)  # another thread may be adding to the list meanwhile
        try:
            if changed or not self._copies or not self.count or length < self.count:
                self._start_over(entries[:length])
            elif length > self.count:
                self._append(_render(entries[self.count : length], first=False))
        except FileNotFoundError:  # somebody removed the folder or our copies: what was said is still in memory
            self._start_over(entries[:length])
        self.count = length

    def _start_over(self, entries: Sequence[Entry]) -> None:
        self.close()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._copies = _open_copies(self.path)
        except OSError as exc:
            raise StorageError(f"{self.path}: cannot be created: {exc.strerror}.") from exc
        self._release = weakref.finalize(self, _discard, self._copies)
        self.count = 0
        self._append(_render(entries, first=True))

    def _append(self, text: bytes) -> None:
        hidden = self._copies[-1]
        try:
            end = hidden.write(text)
            hidden.publish(self.path)
        except OSError as exc:
            hidden.cut_back()
            if isinstance(exc, FileNotFoundError):
                raise
            raise StorageError(
                f"{self.path}: the dialogue could not be saved: {exc.strerror}.",
                hint="Nothing said is lost: it is kept in memory and saved with the next message once there is room.",
            ) from exc
        hidden.end, hidden.missing = end, b""
        self._copies[0].missing += text
        self._copies.reverse()

    def _set_aside(self, kept: int) -> None:
        aside = self.path.with_name(self.path.name + ".broken")
        try:
            shutil.copyfile(self.path, aside)
        except OSError as exc:
            raise StorageError(f"{self.path}: torn, and a copy could not be set aside: {exc.strerror}.") from exc
        _logger.warning("%s was torn: %d whole entries kept, the original is in %s", self.path, kept, aside)


@dataclass(slots=True)
class _Copy:
    """One of the two hidden files: complete up to ``end``, and lacking ``missing``."""

    path: Path
    fd: int
    end: int = 0  # bytes, without the closing bracket
    missing: bytes = b""

    def write(self, text: bytes) -> int:
        """Catch up and add ``text``; the new ``end``, which counts once the file is published."""
        rest, at = memoryview(self.missing + text + _TAIL), self.end
        while rest:
            written = os.pwrite(self.fd, rest, at)  # a full disk shows as a short write first
            rest, at = rest[written:], at + written
        return at - len(_TAIL)

    def cut_back(self) -> None:
        """Give back what a failed write took; the next write starts from ``end`` again."""
        with contextlib.suppress(OSError):
            os.ftruncate(self.fd, self.end)

    def publish(self, public: Path) -> None:
        """Let the public name mean this file, in one step."""
        spare = self.path.with_suffix(".new")
        spare.unlink(missing_ok=True)
        try:
            spare.hardlink_to(self.path)
        except FileNotFoundError:
            raise
        except OSError:  # no hard links here
            shutil.copyfile(self.path, spare)
        spare.replace(public)


def parse(text: str) -> list[dict[str, Any]] | None:
    """The entries of a dialogue file; ``None`` when it is torn or something else."""
    try:
        entries = json.loads(text)
    except json.JSONDecodeError:
        return None
    return entries if isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries) else None


def _salvage(text: str) -> list[dict[str, Any]]:
    """Every entry of a torn file that is complete."""
    decoder = json.JSONDecoder()
    entries: list[dict[str, Any]] = []
    at = text.find("{")
    while at != -1:
        try:
            entry, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError:
            break
        entries.append(entry)
        at = text.find("{", at)
    return entries


def _render(entries: Sequence[Entry], *, first: bool) -> bytes:
    """The entries as they stand in the file, with the bracket or comma before each, without the closing bracket."""
    text = b"".join((b",\n" if i or not first else b"[\n") + _entry(entry) for i, entry in enumerate(entries))
    return text or (b"[" if first else b"")


def _entry(entry: Entry) -> bytes:
    text = json.dumps(entry, ensure_ascii=False, indent=2, default=str)
    if any("\ud800" <= c <= "\udfff" for c in text):  # half of a surrogate pair has no UTF-8, but an escape
        text = json.dumps(entry, indent=2, default=str)
    return b"  " + text.replace("\n", "\n  ").encode()


def _open_copies(path: Path) -> list[_Copy]:
    """Two fresh hidden files, the first one locked for as long as it is open."""
    _sweep(path.parent)
    names = [path.with_name(f".{path.name}.{side}") for side in ("a", "b")]
    old = _lock(names[0], path)
    for name in names:
        name.unlink(missing_ok=True)  # never truncate: the public name may be a link to this very file
    try:
        copies = [_Copy(names[0], _lock(names[0], path)), _Copy(names[1], os.open(names[1], os.O_RDWR | os.O_CREAT))]
    finally:
        os.close(old)
    return copies


def _lock(name: Path, path: Path) -> int:
    fd = os.open(name, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        os.close(fd)
        raise StorageError(f"{path}: another process is writing this dialogue.", hint=_OTHER_PATH) from exc
    return fd


def _discard(copies: list[_Copy]) -> None:
    for copy in copies:
        with contextlib.suppress(OSError):
            copy.path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            os.close(copy.fd)


def _sweep(folder: Path) -> None:
    """Remove hidden copies that killed processes left behind."""
    for first in folder.glob(".*.json.a"):
        with contextlib.suppress(OSError, StorageError):
            if time.time() - first.stat().st_mtime > _STALE_SECONDS:
                fd = _lock(first, first)
                for name in (first, first.with_suffix(".b"), first.with_suffix(".new")):
                    name.unlink(missing_ok=True)
                os.close(fd)
