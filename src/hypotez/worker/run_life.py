"""What happens to a run in the store: created, answered by tools, cancelled. Each function is part of one transaction.

The other half, what its executor does, is ``run_execution.py``.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from hypotez.errors import InvalidRequest
from hypotez.store import Document, Transaction
from hypotez.wire.ids import new_id
from hypotez.wire.run_events import Pair, answered_step, created, step_event
from hypotez.wire.thread_objects import run_object
from hypotez.wire.thread_requests import CreateMessage
from hypotez.worker.run_states import KIND, MOVES, move
from hypotez.worker.threads import STEP, add_message, cancel_stream, lock

Json = dict[str, Any]
WORK = "run"  # the kind of work a run is in the queue


def create(
    tx: Transaction,
    thread: Document,
    assistant: Document,
    given: Mapping[str, Any],
    *,
    messages: Sequence[CreateMessage] = (),
    seconds: int,
    opening: Sequence[Pair] = (),
    fingerprint: str | None = None,
) -> Document:
    """A queued run that holds its thread. ``messages`` are added first, ``opening`` events come before the run's own.

    Raises ``ThreadBusy``.
    """
    run_id = new_id("run")
    lock(tx, thread, run_id)
    for message in messages:
        add_message(tx, thread, message)  # ``thread`` as it was before the lock, which is the run's own
    body = run_object(run_id, thread.id, int(time.time()), assistant.body, given, seconds=seconds)
    run = tx.documents.create(KIND, body, project=thread.project, parent=thread.id, request=fingerprint)
    tx.events.extend(run.id, [*opening, *created(body)])
    tx.work.put(WORK, run.id, project=thread.project)
    return run


def submit_outputs(
    tx: Transaction, run: Document, outputs: Sequence[Json], *, fingerprint: str | None = None, after: int = 0
) -> Document:
    """All outputs of the waiting calls at once: the step is completed, the run queued again.

    ``fingerprint`` and ``after`` (the run's newest event before this) are kept, to answer a retry of the request.

    Raises ``InvalidRequest`` in OpenAI's words when the run waits for nothing or for other calls.
    """
    waiting = run.private.get("waiting_step")  # an imported run has none: nobody waits for it any more
    if run.status != "requires_action" or waiting is None:
        raise InvalidRequest(f'Runs in status "{run.status}" do not accept tool outputs.')
    step = tx.documents.get(STEP, waiting, parent=run.id)
    expected = [call["id"] for call in step.body["step_details"]["tool_calls"]]
    got = [output.get("tool_call_id") for output in outputs]
    if len(got) != len(expected) or set(got) != set(expected):
        raise InvalidRequest(f"Expected tool outputs for call_ids {expected}, got {got}.", param="tool_outputs")
    texts = {output["tool_call_id"]: output.get("output") or "" for output in outputs}
    closed = answered_step(step.body, texts, int(time.time()), run.private.get("waiting_usage"))
    tx.documents.change(step, closed)
    private = {"waiting_step": None, "waiting_usage": None, "submitted": fingerprint, "submitted_after": after}
    queued = move(tx, run, "queued", [step_event(closed)], private=private)
    _queue_now(tx, run)
    return queued


def cancel(tx: Transaction, run: Document) -> Document:
    """Ask for the run's end; its executor, or the next to claim it, makes it ``cancelled``."""
    if run.status == "cancelling":
        return run
    if "cancelling" not in MOVES[run.body["status"]]:
        raise InvalidRequest(f"Cannot cancel run with status '{run.status}'.")
    cancelling = move(tx, run, "cancelling", required_action=None)
    tx.events.append(cancel_stream(run.id), "cancel", {})
    if run.status == "requires_action":  # it waits in the queue until it expires: make that now
        _queue_now(tx, run)
    tx.work.put(WORK, run.id, project=run.project)  # an imported run is in no queue
    return cancelling


def _queue_now(tx: Transaction, run: Document) -> None:
    tx.work.remove(WORK, run.id)
    tx.work.put(WORK, run.id, project=run.project)
