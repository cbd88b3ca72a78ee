"""An export folder into the store. A thread is imported whole, in one transaction, and never twice."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypotez.errors import DataError, Fault
from hypotez.store import Store, Transaction
from hypotez.store.documents import MAIN
from hypotez.transfer import records
from hypotez.worker import threads
from hypotez.worker.run_states import KIND as RUN

Json = dict[str, Any]
RECORD, MANIFEST = "transfer.record", "transfer.manifest"  # kinds: what must be kept to export the same again


@dataclass
class Imported:
    """What was read. ``skipped`` objects were here already; ``faults`` say which files were left out and why."""

    assistants: int = 0
    threads: int = 0
    messages: int = 0
    runs: int = 0
    steps: int = 0
    files: int = 0
    skipped: int = 0
    faults: list[Fault] = field(default_factory=list)


def read_export(store: Store, folder: Path, *, project: str = MAIN) -> Imported:
    """Import every file of the folder that is sound. Importing a folder again adds only what is missing.

    Raises ``DataError`` when the folder holds no export at all.
    """
    imported = Imported()
    files = sorted((folder / "threads").glob("*.json"))
    if not files and not (folder / "assistants.json").exists():
        raise DataError(f"{folder} holds no export: neither assistants.json nor threads/*.json is there.")
    assistants = _read(folder / "assistants.json", imported)
    if assistants is not None:
        _add_assistants(store, folder / "assistants.json", assistants, project, imported)
    for path in files:
        text = _read(path, imported)
        if text is not None:
            _add_thread(store, path, text, project, imported)
    manifest = _read(folder / "manifest.json", imported)
    if manifest is not None and not imported.faults:
        _keep_manifest(store, manifest, assistants, project)
    return imported


def _read(path: Path, imported: Imported) -> str | None:
    if not path.exists():
        return None
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as exc:
        imported.faults.append(Fault(str(path), 0, None, f"cannot be read: {exc}"))
        return None


def _parsed(path: Path, text: str, imported: Imported) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as exc:
        line = exc.lineno if isinstance(exc, json.JSONDecodeError) else 0
        imported.faults.append(Fault(str(path), line, None, f"is not JSON: {exc}"))
        return None


def _add_assistants(store: Store, path: Path, text: str, project: str, imported: Imported) -> None:
    found = _parsed(path, text, imported)
    if found is None:
        return
    wrong = [Fault(str(path), 0, where, what) for where, what in records.assistant_faults(found)]
    imported.faults += wrong
    if wrong:
        return
    with store.write() as tx:
        for body in found:
            imported.assistants += _add(tx, "assistant", body, project, "", path, imported)


def _add_thread(store: Store, path: Path, text: str, project: str, imported: Imported) -> None:
    record = _parsed(path, text, imported)
    if record is None:
        return
    wrong = [Fault(str(path), 0, where, what) for where, what in records.faults(record)]
    imported.faults += wrong
    if wrong:
        return
    canonical = records.text_of(record)
    kept: Json = {"kept": records.parts(record), "digest": records.digest(canonical)}
    if text != canonical:
        kept["raw"] = text  # somebody else's spacing
    thread = record["thread"]
    parent = "" if thread is None else thread["id"]
    with store.write() as tx:
        if thread is None:  # it could not be exported: the reason is all there is
            kept["record"] = record
        elif not _add(tx, threads.KIND, thread, project, "", path, imported):
            return
        else:
            imported.threads += 1
            _add_contents(tx, record, project, path, imported)
        id = f"transfer_{records.digest(f'{project}/{path.name}')[:32]}"
        if tx.documents.find(RECORD, id, project=project) is None:
            tx.documents.create(RECORD, {"id": id, "name": path.name}, project=project, parent=parent, private=kept)


def _add_contents(tx: Transaction, record: Json, project: str, path: Path, imported: Imported) -> None:
    parent = record["thread"]["id"]
    for message in record["messages"]:
        imported.messages += _add(tx, threads.MESSAGE, message, project, parent, path, imported)
    for run in record["runs"]:
        body = {name: value for name, value in run.items() if name != "steps"}
        imported.runs += _add(tx, RUN, body, project, parent, path, imported)
        for step in run.get("steps", []):
            imported.steps += _add(tx, threads.STEP, step, project, run["id"], path, imported)
    known = record.get("files")
    for file in known.values() if isinstance(known, dict) else []:
        if isinstance(file, dict) and isinstance(file.get("id"), str) and isinstance(file.get("created_at"), int):
            imported.files += _add(tx, "file", file, project, "", path, imported)


def _add(tx: Transaction, kind: str, body: Json, project: str, parent: str, path: Path, imported: Imported) -> bool:
    """Insert the object as it is, unless it is here already."""
    if tx.documents.find(kind, body["id"], project=project) is not None:
        imported.skipped += 1
        return False
    if tx.documents.taken(body["id"]):
        reason = "belongs to another project or is another kind of object; left out"
        imported.faults.append(Fault(str(path), 0, body["id"], reason))
        return False
    tx.documents.create(kind, body, project=project, parent=parent)
    return True


def _keep_manifest(store: Store, text: str, assistants: str | None, project: str) -> None:
    """The manifest as it was, and the digest of the assistants beside it."""
    id = f"manifest_{project}"
    private = {"text": text, "assistants": assistants}
    with store.write() as tx:
        known = tx.documents.find(MANIFEST, id)
        if known is not None:
            tx.documents.change(known, private=private)
        else:
            tx.documents.create(MANIFEST, {"id": id}, project=project, private=private)
