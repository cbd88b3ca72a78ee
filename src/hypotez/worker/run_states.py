"""A run's life as one table of allowed moves, and the one function that makes a move inside a transaction.

queued ──► in_progress ──► completed | incomplete | failed | expired
  ▲            │ ▲
  │            ▼ └─ (claimed again after a crash: same state, no move)
  └──── requires_action ──► expired
any of the three ──► cancelling ──► cancelled | expired
"""

import time
from collections.abc import Sequence
from typing import Any

from hypotez.errors import Conflict
from hypotez.store import Document, Transaction
from hypotez.wire.run_events import Pair, run_event

Json = dict[str, Any]

KIND = "thread.run"
MOVES: dict[str, frozenset[str]] = {
    "queued": frozenset({"in_progress", "cancelling", "failed", "expired"}),
    "in_progress": frozenset(
        {"requires_action", "cancelling", "completed", "incomplete", "failed", "expired"},
    ),
    "requires_action": frozenset({"queued", "cancelling", "expired"}),
    "cancelling": frozenset({"cancelled", "expired"}),
    "completed": frozenset(),
    "incomplete": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
    "expired": frozenset(),
}
ACTIVE = frozenset(state for state, moves in MOVES.items() if moves)
STAMPS = {
    "in_progress": "started_at",
    "completed": "completed_at",
    "failed": "failed_at",
    "cancelled": "cancelled_at",
}


def moved(run: Json, to: str, now: int, **fields: Any) -> Json:
    """The run's body after the move to ``to``; ``fields`` are set with it."""
    stamp = STAMPS.get(to)
    body = {**run, "status": to, "required_action": None, **fields}
    if stamp is not None and (stamp != "started_at" or run.get("started_at") is None):
        body[stamp] = now
    if to not in ACTIVE and to != "expired":
        body["expires_at"] = None
    return body


def move(
    tx: Transaction, run: Document, to: str, before: Sequence[Pair] = (), *, private: Json | None = None, **fields: Any
) -> Document:
    """Move the run, append the events ``before`` and the move's own, unlock the thread when the run has ended.

    Raises ``Conflict`` when the move is not allowed from where the run is, or somebody else moved it first.
    """
    changed = None
    if to in MOVES[run.body["status"]]:
        changed = tx.documents.change(run, moved(run.body, to, int(time.time()), **fields), private=private)
    if changed is None:
        raise Conflict(f"Run '{run.id}' cannot go from '{run.body['status']}' to '{to}' now; read it again.")
    tx.events.extend(run.id, [*before, run_event(changed.body)])
    if to not in ACTIVE:
        unlock(tx, run)
    return changed


def unlock(tx: Transaction, run: Document) -> None:
    """Let the run's thread take messages and runs again."""
    thread = tx.documents.find("thread", run.parent)
    while thread is not None and thread.private.get("active_run") == run.id:
        if tx.documents.change(thread, private={"active_run": None}) is not None:
            return
        thread = tx.documents.find("thread", run.parent)
