"""A run's events as a server-sent stream: from any place in it, for any number of clients.

Every event carries its number as the SSE ``id``. A client that lost the connection goes on with
``GET /v1/threads/{thread_id}/runs/{run_id}/stream?after=N`` or the header ``Last-Event-ID: N`` (our extension).
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

from starlette.responses import StreamingResponse

from hypotez.server.context import Context
from hypotez.store import Document, Event
from hypotez.wire.run_events import LAST, PAUSE, run_event
from hypotez.wire.sse import ASSISTANTS_DONE, event
from hypotez.worker.run_states import ACTIVE, KIND

PING = b": still here\n\n"
PING_SECONDS = 15.0
HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}


def streamed(ctx: Context, run: Document, after: int = 0) -> StreamingResponse:
    """Events after ``after`` until the run ends or waits for tool outputs, as OpenAI's ``stream: true``."""
    return StreamingResponse(_lines(ctx, run, after, through=False), headers=HEADERS, media_type="text/event-stream")


def followed(ctx: Context, run: Document, after: int = 0) -> StreamingResponse:
    """As ``streamed``, but past a wait for tool outputs that is already over."""
    return StreamingResponse(_lines(ctx, run, after, through=True), headers=HEADERS, media_type="text/event-stream")


async def ended(ctx: Context, run_id: str) -> None:
    """Return when the run holds its thread no longer."""
    async with aclosing(ctx.services.tail.follow(run_id)) as events:
        async for told in events:
            if told.type in LAST or told.type == "error":
                return


async def _lines(ctx: Context, run: Document, after: int, through: bool) -> AsyncGenerator[bytes]:
    last = await asyncio.to_thread(_newest, ctx, run.id)
    if last <= after and (run.status not in ACTIVE or run.status == "requires_action"):
        if last == 0:  # so old that its events were cleared away: how it ended is still known
            name, body = run_event(run.body)
            yield event(body, name)
        yield ASSISTANTS_DONE
        return
    async with aclosing(_with_pings(ctx, run.id, after)) as events:
        async for told in events:
            if told is None:
                yield PING
                continue
            yield event(told.data, told.type, told.seq)
            if told.type in LAST or told.type == "error":
                break
            if told.type == PAUSE and not (through and await asyncio.to_thread(_went_on, ctx, run.id, told.seq)):
                break
    yield ASSISTANTS_DONE


async def _with_pings(ctx: Context, run_id: str, after: int) -> AsyncGenerator[Event | None]:
    """The run's events, and None whenever there was none for a while: a dead connection is noticed by writing."""
    async with aclosing(ctx.services.tail.follow(run_id, after)) as events:
        waiting: asyncio.Task[Event] | None = None
        try:
            while True:
                waiting = waiting or asyncio.ensure_future(anext(events))
                done, _ = await asyncio.wait({waiting}, timeout=PING_SECONDS)
                if done:
                    told, waiting = waiting.result(), None
                    yield told
                else:
                    yield None
        finally:
            if waiting is not None:
                waiting.cancel()
                with suppress(asyncio.CancelledError):
                    await waiting


def _newest(ctx: Context, run_id: str) -> int:
    with ctx.store.read() as tx:
        return tx.events.last(run_id)


def _went_on(ctx: Context, run_id: str, seq: int) -> bool:
    with ctx.store.read() as tx:
        run = tx.documents.find(KIND, run_id)
        return run is not None and (run.status != "requires_action" or tx.events.last(run_id) > seq)
