"""Executes runs: asks the model, tells the events as they come, records how it ended. One claim is one turn.

A turn ends the claim: the run is over, or it waits for tool outputs, whose arrival queues it again.
"""

import asyncio
import base64
import logging
import random
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from hypotez import spans
from hypotez.errors import ContextLengthExceeded, HypotezError, InvalidRequest, NotFound, Overloaded, RateLimited
from hypotez.store import Document, Store, Transaction, WorkItem
from hypotez.wire.ids import new_id
from hypotez.wire.run_events import Pair, Turn
from hypotez.worker import run_execution, threads
from hypotez.worker.forgetting import KEEP_SECONDS, forget
from hypotez.worker.journal import Journal
from hypotez.worker.queue import SILENCE_SECONDS, Queue
from hypotez.worker.routing import Router
from hypotez.worker.run_life import WORK
from hypotez.worker.run_states import KIND
from hypotez.worker.thread_prompt import OutOfTokens, Thread, chat_request, estimate

Json = dict[str, Any]

CONCURRENCY = 2048  # runs asked at once; the backend has its own, smaller limit and says so with Overloaded
READ_TOKENS = 1_000_000  # of a thread, newest first: more than any window holds
SHORTENINGS = 5  # times a prompt that a backend found too long is halved
UNSUPPORTED = {
    "code_interpreter": "The tool 'code_interpreter' is not available on this server; remove it from the run's tools.",
    "file_search": "The tool 'file_search' is not available on this server yet; remove it from the run's tools.",
}

log = logging.getLogger(__name__)


class Runs:
    """The executor of this process. ``run`` until cancelled; ``wake`` it (from any thread) when a run was queued.

    ``keep_events`` is in seconds: for how long the stream of a run that has ended can be replayed.
    """

    def __init__(
        self,
        store: Store,
        router: Router,
        *,
        concurrency: int = CONCURRENCY,
        silence: float = SILENCE_SECONDS,
        keep_events: float = KEEP_SECONDS,
    ) -> None:
        self._store, self._router, self._keep_events = store, router, keep_events
        self._journal = Journal(store)
        self._queue = Queue(store, WORK, self._perform, concurrency=concurrency, silence=silence)

    def wake(self) -> None:
        self._queue.wake()

    async def run(self) -> None:
        beside = [asyncio.create_task(work) for work in (self._journal.run(), forget(self._store, self._keep_events))]
        try:
            await self._queue.run()
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    async def _perform(self, item: WorkItem) -> None:
        unwanted = asyncio.Event()
        loop = asyncio.get_running_loop()
        stream = threads.cancel_stream(item.target)

        def told() -> None:
            loop.call_soon_threadsafe(unwanted.set)

        with self._store.hub.listening(stream, told):
            try:
                run = await self._store.commit(lambda tx: run_execution.take_up(tx, item))
                if run is not None:
                    with spans.span(f"invoke_agent {run.body['assistant_id']}", _told(run)):
                        await self._execute(run, item, unwanted)
            except run_execution.ClaimLost as exc:
                log.warning("%s", exc)

    async def _execute(self, run: Document, item: WorkItem, unwanted: asyncio.Event) -> None:
        """One turn, until it is answered, cancelled or too late, whichever comes first."""
        turn = Turn(run.body, lambda: int(time.time()), new_id)
        asking = asyncio.create_task(self._ask(run, turn))
        stopping = asyncio.create_task(unwanted.wait())
        try:
            left = run.body["expires_at"] - time.time()
            await asyncio.wait({asking, stopping}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (asking, stopping):
                if not task.done():
                    task.cancel()
            await asyncio.gather(asking, stopping, return_exceptions=True)
            # what was told is written whatever happens: followers have it from the journal or from here
            told = await self._journal.take(run.id)
        if asking.cancelled():
            ending: Json = {"status": "cancelled" if unwanted.is_set() else "expired"}
        elif (failure := asking.exception()) is not None:
            ending = _ending(failure)
        else:
            ending = {}
        await self._store.commit(lambda tx: _record(tx, item, turn, told, ending))

    async def _ask(self, run: Document, turn: Turn) -> None:
        for tool in run.body["tools"]:
            if tool["type"] in UNSUPPORTED:
                raise InvalidRequest(UNSUPPORTED[tool["type"]])
        route = await self._router.route(run.body["model"], run.project)
        cards = await route.backend.cards() if route.local else []
        window = next((card.context_window for card in cards if card.id == route.model), None)
        thread: Thread | None = None
        for _ in range(SHORTENINGS):
            thread, request = await asyncio.to_thread(self._request, run, thread, window)
            try:
                await self._stream(run, turn, {**request, "model": route.model}, route.backend.chat)
                return
            except ContextLengthExceeded:
                shorter = sum(map(estimate, request["messages"])) // 2
                if len(request["messages"]) < 2 or turn.message is not None:
                    raise
                window = min(window or shorter, shorter)
        raise ContextLengthExceeded(f"The thread does not fit the context of '{route.model}', however shortened.")

    async def _stream(
        self, run: Document, turn: Turn, request: Json, chat: Callable[[Json], AsyncGenerator[Json]]
    ) -> None:
        while True:
            try:
                async with aclosing(chat(request)) as answer:
                    async for chunk in answer:
                        self._journal.add(run.id, turn.feed(chunk))
                return
            except Overloaded as exc:  # this machine is busy: the run has time until it expires
                if turn.message is not None or turn.tool_step is not None:
                    raise
                await asyncio.sleep((exc.retry_after or 0.5) * random.uniform(1.0, 1.5))

    def _request(self, run: Document, thread: Thread | None, window: int | None) -> tuple[Thread, Json]:
        thread = thread or self._read(run, window or READ_TOKENS)
        return thread, chat_request(thread, self._image_of(run.project), window)

    def _read(self, run: Document, tokens: int) -> Thread:
        """The thread as the turn begins: newest messages up to ``tokens``, and the very first one."""
        strategy = run.body["truncation_strategy"]
        newest = strategy.get("last_messages") if strategy["type"] == "last_messages" else None
        history: list[Json] = []
        replies: dict[str, Json] = {}
        with self._store.read() as tx:
            steps = _steps(tx, run.id)
            for message in threads.history(tx, run.parent, newest=newest):
                if message.body.get("run_id") == run.id:
                    replies[message.id] = message.body
                    continue
                history.append(message.body)
                tokens -= estimate(message.body)
                if tokens < 0:
                    first = tx.documents.page(threads.MESSAGE, parent=run.parent, limit=1, order="asc").items
                    history += [item.body for item in first if item.id != message.id and newest is None]
                    break
            earlier = {id: _steps(tx, id) for message in history if (id := message.get("run_id")) is not None}
        return Thread(run.body, history[::-1], steps, replies, run.private.get("spent"), earlier)

    def _image_of(self, project: str) -> Callable[[str], str]:
        def image(file_id: str) -> str:
            with self._store.read() as tx:
                tx.documents.get("file", file_id, project=project)
            raw = self._store.blobs.open(file_id).read_bytes()
            return f"data:{_media_type(raw)};base64,{base64.b64encode(raw).decode()}"

        return image


def _told(run: Document) -> spans.Attributes:
    return {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.id": run.body["assistant_id"],
        "gen_ai.conversation.id": run.parent,
        "gen_ai.request.model": run.body["model"],
        "hypotez.run.id": run.id,
    }


def _record(tx: Transaction, item: WorkItem, turn: Turn, told: list[Pair], ending: Json) -> None:
    if not ending:
        run_execution.complete(tx, item, turn, told)
        return
    run = tx.documents.find(KIND, item.target)
    if run is not None:
        run_execution.end(tx, item, run, turn=turn, told=told, **ending)


def _steps(tx: Transaction, run_id: str) -> list[Json]:
    return [step.body for step in tx.documents.page(threads.STEP, parent=run_id, limit=10_000, order="asc").items]


def _ending(failure: BaseException) -> Json:
    """How a run ends whose question raised."""
    if isinstance(failure, OutOfTokens):
        return {"status": "incomplete", "reason": failure.reason}
    if isinstance(failure, RateLimited):
        code, message = "rate_limit_exceeded", failure.message
    elif isinstance(failure, (InvalidRequest, NotFound)):
        code, message = "invalid_prompt", failure.message
    elif isinstance(failure, HypotezError):
        code, message = "server_error", failure.message
    else:
        log.error("a run failed", exc_info=failure)
        code, message = "server_error", "The server had an error while executing the run; its log has the traceback."
    return {"status": "failed", "error": {"code": code, "message": message}}


def _media_type(raw: bytes) -> str:
    magics = {b"\x89PNG": "image/png", b"\xff\xd8": "image/jpeg", b"GIF8": "image/gif", b"RIFF": "image/webp"}
    for magic, media_type in magics.items():
        if raw.startswith(magic):
            return media_type
    raise InvalidRequest("An image file of the thread is not a PNG, JPEG, GIF or WEBP picture.")
