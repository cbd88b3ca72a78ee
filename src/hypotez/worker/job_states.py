"""A fine-tuning job's life: one table of allowed moves, and the moves everybody makes by it.

validating_files ─► queued ─► running ─► succeeded
       │              │ ▲        │ │
       │              ▼ │        ▼ ├──► failed
       │            paused ◄─ pausing
       └──────────────┴──────────┴──────► cancelled, failed
"""

import time
from typing import Any

from hypotez.errors import InvalidRequest, NotFound
from hypotez.store import Document, Transaction
from hypotez.worker import turns

Json = dict[str, Any]

KIND = "fine_tuning.job"
WORK = "job"  # a row in the queue: the job waits for, or is in, a training process
VALIDATION = "job_validation"  # a row in the queue: its files are to be checked
WEBHOOK = "job_webhook"  # a row in the queue: its end is to be told to the user's own servers

MOVES = {
    "validating_files": {"queued", "paused", "cancelled", "failed"},
    "queued": {"running", "paused", "cancelled", "failed"},
    "running": {"pausing", "succeeded", "cancelled", "failed"},
    "pausing": {"paused", "running", "succeeded", "cancelled", "failed"},
    "paused": {"validating_files", "queued", "cancelled"},
    "succeeded": set(),
    "failed": set(),
    "cancelled": set(),
}
ENDED = frozenset(state for state, moves in MOVES.items() if not moves)


def into(state: str) -> set[str]:
    """The states from which a job may move to ``state``."""
    return {before for before, moves in MOVES.items() if state in moves}


def move(tx: Transaction, id: str, to: str, body: Json | None = None, **private: Any) -> Document | None:
    """Move a job as the table allows; None when it is in another state by now."""
    ending = {"finished_at": int(time.time()), "estimated_finish": None} if to in ENDED else {}
    moved = tx.documents.move(KIND, id, into(to), to, {**ending, **(body or {})}, **private)
    if moved is not None and to in ENDED | {"paused"}:
        for kind in (WORK, VALIDATION):
            tx.work.remove(kind, id)
    if moved is not None and to in ENDED:
        tx.work.put(WEBHOOK, id, project=moved.project)
    return moved


def find(tx: Transaction, id: str, project: str) -> Document:
    """Raises ``NotFound`` in OpenAI's words."""
    found = tx.documents.find(KIND, id, project=project)
    if found is None:
        raise NotFound(f"Could not find fine tune: {id}", param="fine_tune_id", code="fine_tune_not_found")
    return found


def cancel(tx: Transaction, id: str, project: str) -> Document:
    """The training process sees it within a step."""
    job = find(tx, id, project)
    moved = move(tx, id, "cancelled")
    if moved is None:
        raise InvalidRequest(f"Job {id} has already {_ended(job)} and cannot be cancelled.")
    return moved


def pause(tx: Transaction, id: str, project: str) -> Document:
    """A running job keeps its state first: ``pausing`` until its process has done so."""
    job = find(tx, id, project)
    if job.status in ("pausing", "paused"):
        return job
    moved = move(tx, id, "pausing" if job.status == "running" else "paused")
    if moved is None:
        raise InvalidRequest(f"Job {id} has already {_ended(job)} and cannot be paused.")
    return moved


def resume(tx: Transaction, id: str, project: str) -> Document:
    """Back into the queue; a job that is still pausing goes on where it is."""
    job = find(tx, id, project)
    if job.status == "pausing":
        return move(tx, id, "running") or job
    if job.status != "paused":
        what = "is not paused" if job.status not in ENDED else f"has already {_ended(job)} and cannot be resumed"
        raise InvalidRequest(f"Job {id} {what}.")
    if job.private.get("validated"):
        enqueue(tx, job)
        return move(tx, id, "queued") or job
    tx.work.put(VALIDATION, id, project=job.project)
    return move(tx, id, "validating_files") or job


def enqueue(tx: Transaction, job: Document) -> None:
    """Let a job wait for training, at its key's next turn."""
    items = tx.work.waiting(WORK)
    mine = [item for item in items if _whose(tx.documents.find(KIND, item.target)) == _whose(job)]
    tx.work.put(WORK, job.id, project=job.project, turn=turns.next_turn(items, mine))


def _whose(job: Document | None) -> str | None:
    """The key that made the job; where no key was asked for, its project."""
    return None if job is None else str(job.private.get("key") or job.project)


def _ended(job: Document) -> str:
    return {"cancelled": "been cancelled"}.get(str(job.status), str(job.status))
