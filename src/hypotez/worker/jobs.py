"""A fine-tuning job's beginning: its first events, the check of its files, its place in the queue. Knows no process."""

import hashlib
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from hypotez.data.check import Report, check_training_file
from hypotez.errors import NotFound
from hypotez.grading.check import item_fields
from hypotez.store import Document, Store, Transaction, WorkItem
from hypotez.wire.graders import Grader
from hypotez.worker import job_events
from hypotez.worker.job_states import KIND, VALIDATION, enqueue, move

Json = dict[str, Any]


def begin(tx: Transaction, job: Document) -> None:
    """The first events of a new job, and its place among those to be checked."""
    tell = job_events.tell
    tell(tx, job.id, f"Created fine-tuning job: {job.id}", project=job.project)
    valid = job.body.get("validation_file")
    more = f" and validation file: {valid}" if valid else ""
    tell(tx, job.id, f"Validating training file: {job.body['training_file']}{more}", project=job.project)
    tx.work.put(VALIDATION, job.id, project=job.project)


def job_folder(home: Path, id: str) -> Path:
    """Where a job keeps its copy of the data and its states."""
    return home / "jobs" / id


def validate(store: Store, home: Path, item: WorkItem) -> None:
    """Check a job's files and move it on: to the queue, or to ``failed`` with OpenAI's words and a full report."""
    with store.read() as tx:
        job = tx.documents.get(KIND, item.target)
    failure: Json | None = None
    reports: list[Report] = []
    try:
        reports = [
            _check(store, home, job, name) for name in ("training_file", "validation_file") if job.body.get(name)
        ]
    except NotFound as exc:
        failure = {"code": "invalid_training_file", "message": exc.message, "param": "training_file"}
    wrong = next(
        ((r, n) for r, n in zip(reports, ("training_file", "validation_file"), strict=False) if not r.ok), None
    )
    if wrong is not None:
        report, param = wrong
        failure = {"code": report.code, "message": report.first_openai_message, "param": param}
    result_files = [write_file(store, job, "validation_report.csv", _report_csv(reports))] if wrong else []
    with store.write() as tx:
        if failure is not None:
            fail(tx, job.id, failure, result_files)
            return
        if move(tx, job.id, "queued", validated=True) is None:
            return
        tx.work.remove(VALIDATION, job.id)
        enqueue(tx, job)
        job_events.tell(tx, job.id, "Files validated, moving job to queued state", project=job.project)


def fail(tx: Transaction, id: str, error: Json, result_files: list[str] | None = None) -> None:
    """Status ``failed``, OpenAI's error object, and the event that says why."""
    failed = move(tx, id, "failed", {"error": error, **({"result_files": result_files} if result_files else {})})
    if failed is not None:
        job_events.tell(tx, id, str(error["message"]), project=failed.project, level="error")


def write_file(store: Store, job: Document, name: str, text: str) -> str:
    """Keep a result file of a job; returns its id, which is the same when it is written again."""
    digest = hashlib.sha256(f"{job.id}\n{name}".encode()).hexdigest()[:24]
    id = f"file-{digest}"
    size, _ = store.blobs.put(id, [text.encode()])
    body = {"id": id, "object": "file", "bytes": size, "created_at": int(time.time()), "filename": name,
            "purpose": "fine-tune-results", "status": "processed"}  # fmt: skip
    with store.write() as tx:
        if tx.documents.find("file", id) is None:
            tx.documents.create("file", body, project=job.project)
    return id


def _check(store: Store, home: Path, job: Document, name: str) -> Report:
    """Check one file on a copy of the job's own: the uploaded one may be deleted while the job waits or trains."""
    id = job.body[name]
    source = store.blobs.open(id)
    copy = data_path(home, job.id, name)
    if not copy.exists():  # a check that was cut short, or another server's, may have made it
        copy.parent.mkdir(parents=True, exist_ok=True)
        draft = copy.with_name(f".{copy.name}.{os.getpid()}")
        draft.unlink(missing_ok=True)
        try:
            os.link(source, draft)
        except OSError:  # another file system, or one without links
            shutil.copyfile(source, draft)
        draft.replace(copy)
        draft.unlink(missing_ok=True)  # still there where both are links to one file already
    minimum = {} if name == "training_file" else {"minimum": 1}
    fields = item_fields(TypeAdapter(Grader).validate_python(job.private["grader"])) if "grader" in job.private else []
    return check_training_file(copy, job.private["method"], name=id, file_id=id, fields=fields, **minimum)


def data_path(home: Path, id: str, name: str) -> Path:
    return job_folder(home, id) / f"{name}.jsonl"


def _report_csv(reports: list[Report]) -> str:
    """Every fault, one line each: what OpenAI never gave its users."""
    lines = ["file,line,field,message"]
    for report in reports:
        lines += [
            f"{fault.file},{fault.line},{json.dumps(fault.field or '')},{_quoted(fault.message)}"
            for fault in report.faults
        ]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""').replace("\n", " ") + '"'
