"""Threads and their messages in the store: the lock that an active run holds, adding, reading back, deleting."""

import time
from collections.abc import Iterator
from typing import Any

from hypotez.errors import InvalidRequest
from hypotez.store import Document, Transaction
from hypotez.wire.ids import new_id
from hypotez.wire.run_events import Pair
from hypotez.wire.thread_objects import message_object, thread_object
from hypotez.wire.thread_requests import CreateMessage, CreateThread
from hypotez.worker import resources
from hypotez.worker.run_states import ACTIVE
from hypotez.worker.run_states import KIND as RUN

Json = dict[str, Any]

KIND, MESSAGE, STEP = "thread", "thread.message", "thread.run.step"
PAGE = 500  # rows read at once from a long thread


class ThreadBusy(InvalidRequest):
    """An active run holds the thread. ``run_id`` says which one."""

    def __init__(self, message: str, run_id: str) -> None:
        super().__init__(message)
        self.run_id = run_id


def create(tx: Transaction, request: CreateThread, *, project: str, fingerprint: str | None = None) -> Document:
    """A thread with its first messages. Raises ``NotFound`` for files and vector stores that are not the project's."""
    given = request.sent()
    resources.check(tx, given.get("tool_resources"), project=project)
    now = int(time.time())
    body = thread_object(new_id("thread"), now, given.get("metadata"), given.get("tool_resources"))
    thread = tx.documents.create(KIND, body, project=project, request=fingerprint)
    for message in request.messages or []:
        add_message(tx, thread, message)
    return thread


def add_message(
    tx: Transaction, thread: Document, request: CreateMessage, *, fingerprint: str | None = None
) -> Document:
    """Raises ``ThreadBusy`` while a run is active, ``NotFound`` for a file that is not the project's."""
    active = thread.private.get("active_run")
    if active is not None:
        raise ThreadBusy(f"Can't add messages to {thread.id} while a run {active} is active.", active)
    for file_id in _files(request):
        tx.documents.get("file", file_id, project=thread.project)
    body = message_object(new_id("msg"), thread.id, int(time.time()), request)
    return tx.documents.create(MESSAGE, body, project=thread.project, parent=thread.id, request=fingerprint)


def lock(tx: Transaction, thread: Document, run_id: str) -> Document:
    """Let the run have the thread. Raises ``ThreadBusy`` when another has it."""
    active = thread.private.get("active_run")
    locked = None if active else tx.documents.change(thread, private={"active_run": run_id})
    if locked is None:
        active = active or tx.documents.get(KIND, thread.id).private.get("active_run") or "of another client"
        raise ThreadBusy(f"Thread {thread.id} already has an active run {active}.", active)
    return locked


def history(tx: Transaction, thread_id: str, *, newest: int | None = None) -> Iterator[Document]:
    """Messages of the thread, newest first, read page by page; at most ``newest`` of them."""
    after, left = None, newest
    while left is None or left > 0:
        limit = PAGE if left is None else min(left, PAGE)
        page = tx.documents.page(MESSAGE, parent=thread_id, limit=limit, after=after)
        yield from page.items
        if not page.has_more:
            return
        after = page.items[-1].id
        left = None if left is None else left - len(page.items)


def delete(tx: Transaction, thread: Document) -> None:
    """The thread, its messages, runs, steps and events. Who follows a run of it is told by an ``error`` event."""
    runs = tx.documents.page(RUN, parent=thread.id, limit=1_000_000).items
    for run in runs:
        tx.documents.delete_children(run.id)
        tx.work.remove("run", run.id)
        tx.events.delete(run.id)
        if run.status in ACTIVE:
            tx.events.extend(run.id, [deleted_event(thread)])
            tx.events.append(cancel_stream(run.id), "deleted", {})
    tx.documents.delete_children(thread.id)
    tx.documents.delete(thread)


def cancel_stream(run_id: str) -> str:
    """The stream that tells whoever executes the run that it is no longer wanted."""
    return f"{run_id}/cancel"


def deleted_event(thread: Document) -> Pair:
    error = InvalidRequest(f"Thread {thread.id} was deleted while its run was active.")
    envelope = error.envelope()
    # the specification has the bare error here, the SDK raises only for the enveloped one: both fit in one body
    return "error", {**envelope["error"], **envelope}


def _files(request: CreateMessage) -> set[str]:
    ids = {attachment.file_id for attachment in request.attachments or []}
    parts = request.content if isinstance(request.content, list) else []
    return ids | {part.image_file.file_id for part in parts if part.type == "image_file"}
