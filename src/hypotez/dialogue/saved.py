"""Dialogues that were saved before: this class's logs, and lists of messages from elsewhere.

A dialogue is a list of entries ``{role, content, ...}``; a file may hold one, or several (a list of lists,
or of objects with ``messages``). Reads only; a torn file gives what is whole in it.
"""

import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypotez.errors import StorageError

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Dialogue:
    """One conversation and where it came from."""

    name: str
    entries: Sequence[dict[str, Any]] = field(repr=False)


def find(folders: Iterable[Path]) -> list[Path]:
    """Every dialogue file in the folders and below, oldest first, each once. Files beginning with a dot are not."""
    found = {
        path.resolve(): path
        for folder in folders
        for path in ([folder] if folder.is_file() else sorted(folder.rglob("*.json")))
        if not path.name.startswith(".")
    }
    return sorted(found.values(), key=lambda path: (path.stat().st_mtime, path.name))


def read(paths: Iterable[Path]) -> list[Dialogue]:
    """The dialogues in the files. A file that holds none is named in the log and passed over."""
    dialogues: list[Dialogue] = []
    for path in paths:
        try:
            found = list(_dialogues(path))
        except (OSError, StorageError) as exc:
            _logger.warning("%s is not used: %s", path, exc)
            continue
        dialogues += found
    return dialogues


def _dialogues(path: Path) -> Iterable[Dialogue]:
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    try:
        content = json.loads(text)
    except json.JSONDecodeError as exc:
        raise StorageError(f"not valid JSON (line {exc.lineno}, column {exc.colno}: {exc.msg})") from exc
    if isinstance(content, dict):
        content = [content]
    if not isinstance(content, list):
        raise StorageError("not a list of messages")
    several = [item["messages"] if isinstance(item, dict) and "messages" in item else item for item in content]
    if all(isinstance(item, dict) and "role" in item for item in several):
        several = [several] if several else []
    for number, entries in enumerate(several, start=1):
        if not isinstance(entries, list) or not all(isinstance(e, dict) and "role" in e for e in entries):
            raise StorageError("not a list of messages with a role")
        yield Dialogue(str(path) if len(several) == 1 else f"{path}#{number}", entries)
