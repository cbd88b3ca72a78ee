"""The store into an export folder, in the same format as it is read."""

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypotez import __version__
from hypotez.errors import StorageError
from hypotez.store import Document, Store, Transaction
from hypotez.store.documents import MAIN
from hypotez.transfer import records
from hypotez.transfer.reading import MANIFEST, RECORD
from hypotez.worker import threads
from hypotez.worker.run_states import KIND as RUN

Json = dict[str, Any]
PAGE = 500


@dataclass
class Exported:
    assistants: int = 0
    threads: int = 0
    unchanged: int = 0  # threads that are as they were imported, to the byte


def write_export(store: Store, folder: Path, *, project: str = MAIN) -> Exported:
    """Export the project's assistants and threads. Raises ``StorageError`` when the folder cannot be written."""
    exported = Exported()
    now = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        (folder / "threads").mkdir(parents=True, exist_ok=True)
        with store.read() as tx:
            same = _write_assistants(tx, folder, project, exported)
            same &= _write_threads(tx, folder, project, now, exported)
            known = tx.documents.find(MANIFEST, f"manifest_{project}", project=project)
        if known is not None and same:
            _write(folder / "manifest.json", known.private["text"])
        else:
            _write(folder / "manifest.json", records.text_of(_manifest(exported, now)))
    except OSError as exc:
        raise StorageError(f"Cannot export to {folder}: {exc.strerror or exc}.") from exc
    return exported


def _write_assistants(tx: Transaction, folder: Path, project: str, exported: Exported) -> bool:
    """True when they are as they were imported."""
    bodies = [item.body for item in _all(tx, "assistant", project)]
    exported.assistants = len(bodies)
    known = tx.documents.find(MANIFEST, f"manifest_{project}", project=project)
    text = known.private["assistants"] if known is not None else None
    if text is not None and json.loads(text) == bodies:
        _write(folder / "assistants.json", text)
        return True
    if bodies or known is None:
        _write(folder / "assistants.json", records.text_of(bodies))
    return known is not None and not bodies


def _write_threads(tx: Transaction, folder: Path, project: str, now: str, exported: Exported) -> bool:
    """True when all of them are as they were imported, and none was added or deleted."""
    same = True
    for thread in _all(tx, threads.KIND, project):
        exported.threads += 1
        known = tx.documents.page(RECORD, parent=thread.id, limit=1).items
        text, unchanged = _record(tx, thread, known[0] if known else None, now)
        exported.unchanged += unchanged
        same &= unchanged
        _write(folder / "threads" / (known[0].body["name"] if known else f"{thread.id}.json"), text)
    for record in _all(tx, RECORD, project):
        if "record" in record.private:  # a thread that could not be exported even then
            text = record.private.get("raw") or records.text_of(record.private["record"])
            _write(folder / "threads" / record.body["name"], text)
    return same


def _record(tx: Transaction, thread: Document, known: Document | None, now: str) -> tuple[str, bool]:
    messages = [item.body for item in _all(tx, threads.MESSAGE, parent=thread.id)]
    runs = [
        {**run.body, "steps": [step.body for step in _all(tx, threads.STEP, parent=run.id)]}
        for run in _all(tx, RUN, parent=thread.id)
    ]
    if known is not None:
        kept = known.private["kept"]
        text = records.text_of(records.whole(kept, thread.body, messages, runs))
        if records.digest(text) == known.private["digest"]:
            return known.private.get("raw", text), True
        fresh = {**kept, "exported_at": now}
    else:
        fresh = {
            "export_schema": records.THREAD,
            "thread_id": thread.id,
            "exported_at": now,
            "thread": None,
            "messages": None,
            "runs": None,
            "files": {},
            "errors": [],
        }
    fresh["files"] = _files(tx, thread.project, messages, fresh.get("files") or {})
    return records.text_of(records.whole(fresh, thread.body, messages, runs)), False


def _files(tx: Transaction, project: str, messages: list[Json], known: Json) -> Json:
    """Metadata of every file that the messages name."""
    named = set(known)
    for message in messages:
        named |= {attachment["file_id"] for attachment in message.get("attachments") or []}
        named |= {part["image_file"]["file_id"] for part in message["content"] if part["type"] == "image_file"}
    found = {id: tx.documents.find("file", id, project=project) for id in sorted(named)}
    return {**known, **{id: file.body for id, file in found.items() if file is not None}}


def _all(tx: Transaction, kind: str, project: str | None = None, parent: str | None = None) -> list[Document]:
    """Every document of the kind, oldest first."""
    items: list[Document] = []
    after = None
    while True:
        page = tx.documents.page(kind, project=project, parent=parent, limit=PAGE, order="asc", after=after)
        items += page.items
        if not page.has_more:
            return items
        after = items[-1].id


def _manifest(exported: Exported, now: str) -> Json:
    return {
        "export_schema": records.MANIFEST,
        "script_version": __version__,
        "exported_at": now,
        "endpoint": "hypotez",
        "base_url": "",
        "assistants_count": exported.assistants,
        "threads_requested": exported.threads,
        "threads_exported": exported.threads,
        "threads_failed": [],
        "notes": ["files/ entries are metadata only."],
    }


def _write(path: Path, text: str) -> None:
    """Whole or not at all: the file may be the only copy."""
    temporary = path.with_suffix(".part")
    with temporary.open("w", encoding="utf-8", errors="surrogatepass", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
