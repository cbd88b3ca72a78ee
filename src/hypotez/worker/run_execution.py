"""What an executor writes about the run it holds: taken up, waiting for tools, ended. Each is one transaction's part.

A message, the steps and the run's next state are written together or not at all: whatever is cut off by a crash was
only events, and whoever claims the run again closes those (``abandoned``) and asks the model anew.
"""

import time
from collections.abc import Sequence
from typing import Any

from hypotez.errors import Conflict
from hypotez.store import Document, Transaction, WorkItem
from hypotez.wire.run_events import Pair, Turn, abandoned, closed_step, counted, step_event
from hypotez.wire.thread_objects import required_action
from hypotez.worker.run_states import ACTIVE, KIND, move
from hypotez.worker.threads import MESSAGE, STEP, cancel_stream

Json = dict[str, Any]
ATTEMPTS = 20  # claims of one turn: a run that takes its server down with it must not do so for ever
RESTARTED = {"code": "server_error", "message": "The server stopped while this was being written; it is written anew."}
GIVEN_UP = {"code": "server_error", "message": f"The server stopped {ATTEMPTS} times while executing this run."}
FILTERED = {"code": "invalid_prompt", "message": "The model's answer was stopped by its content filter."}


class ClaimLost(Conflict):
    """Somebody else holds the run now; what was done for it is dropped."""


def take_up(tx: Transaction, item: WorkItem) -> Document | None:
    """The claimed run, in progress; None when there is nothing to ask the model (then its fate is settled here)."""
    run = tx.documents.find(KIND, item.target)
    if run is None or run.status not in ACTIVE:
        _done(tx, item)
        return None
    if time.time() >= (run.body.get("expires_at") or 0):
        end(tx, item, run, "expired")
        return None
    if run.status == "cancelling":
        end(tx, item, run, "cancelled")
        return None
    if run.status == "requires_action":
        tx.work.release(item, due=run.body["expires_at"])
        return None
    if run.status == "queued":
        return move(tx, run, "in_progress")
    if item.attempts > ATTEMPTS:
        end(tx, item, run, "failed", error=GIVEN_UP)
        return None
    tx.events.extend(run.id, _left_open(tx, run, RESTARTED))
    return run


def complete(tx: Transaction, item: WorkItem, turn: Turn, told: Sequence[Pair] = ()) -> None:
    """The model has finished its turn. ``told`` are events that are not in the store yet."""
    run = tx.documents.find(KIND, item.target)
    if run is None:
        return
    if run.status == "cancelling":
        end(tx, item, run, "cancelled", turn=turn, told=told)
    elif turn.finish_reason == "length":
        end(tx, item, run, "incomplete", turn=turn, told=told, reason="max_completion_tokens")
    elif turn.finish_reason == "content_filter":
        end(tx, item, run, "failed", turn=turn, told=told, error=FILTERED)
    elif turn.calls:
        _wait_for_outputs(tx, item, run, turn, told)
    else:
        pairs = [*told, *turn.finish()]
        _keep(tx, run, turn)
        move(tx, run, "completed", pairs, usage=_spent(run, turn))
        _done(tx, item)


def end(
    tx: Transaction,
    item: WorkItem,
    run: Document,
    status: str,
    *,
    error: Json | None = None,
    reason: str | None = None,
    turn: Turn | None = None,
    told: Sequence[Pair] = (),
) -> None:
    """End the run without success. ``turn`` is what was said so far, ``reason`` why an incomplete run is."""
    if run.status == "cancelling" and status != "expired":
        status, error, reason = "cancelled", None, None
    pairs = list(told)
    if turn is not None:
        pairs += turn.stop(status, error, "content_filter" if error is FILTERED else None)
        _keep(tx, run, turn)
    elif not told:
        pairs += _left_open(tx, run, error or RESTARTED, status)
    fields: Json = {"usage": _spent(run, turn)}
    if error is not None:
        fields["last_error"] = error
    if reason is not None:
        fields["incomplete_details"] = {"reason": reason}
    move(tx, run, status, pairs, **fields)
    tx.events.delete(cancel_stream(run.id))
    _done(tx, item)


def _wait_for_outputs(tx: Transaction, item: WorkItem, run: Document, turn: Turn, told: Sequence[Pair]) -> None:
    pairs = [*told, *turn.finish()]
    _keep(tx, run, turn)
    assert turn.tool_step is not None
    private = {
        "waiting_step": turn.tool_step["id"],
        "waiting_usage": turn.usage,
        "spent": _spent(run, turn),
        "submitted": None,
    }
    move(tx, run, "requires_action", pairs, private=private, required_action=required_action(turn.calls))
    if not tx.work.release(item, due=run.body["expires_at"]):
        raise ClaimLost(f"Run '{run.id}' is executed elsewhere.")


def _keep(tx: Transaction, run: Document, turn: Turn) -> None:
    """Store what the turn has made: its message and its steps."""
    if turn.message is not None:
        tx.documents.create(MESSAGE, turn.message, project=run.project, parent=run.parent)
    for step in (turn.message_step, turn.tool_step):
        if step is not None:
            tx.documents.create(STEP, step, project=run.project, parent=run.id)


def _left_open(tx: Transaction, run: Document, error: Json, status: str = "failed") -> list[Pair]:
    """Close what the run's events left open, and the stored step that waits for outputs when the run ends."""
    now, pairs = int(time.time()), []
    waiting = run.private.get("waiting_step")
    if waiting is not None:
        step = tx.documents.get(STEP, waiting, parent=run.id)
        failure = error if status == "failed" else None
        closed = closed_step(step.body, status, now, error=failure, usage=run.private.get("waiting_usage"))
        tx.documents.change(step, closed)
        pairs.append(step_event(closed))
    told = [(event.type, event.data) for event in tx.events.after(run.id, limit=1_000_000)]
    return pairs + [pair for pair in abandoned(told, now, error) if pair[1]["id"] != waiting]


def _spent(run: Document, turn: Turn | None) -> Json:
    return counted(run.private.get("spent"), None if turn is None else turn.usage)


def _done(tx: Transaction, item: WorkItem) -> None:
    if not tx.work.finish(item):
        raise ClaimLost(f"Run '{item.target}' is executed elsewhere.")
