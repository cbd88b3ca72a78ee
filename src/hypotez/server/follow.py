"""A run's events as a server-sent stream: from any place in it, for any number of clients.

Every event carries its number as the SSE ``id``. A client that lost the connection goes on with
``GET /v1/threads/{thread_id}/runs/{run_id}/stream?after=N`` or the header ``Last-Event-ID: N`` (our extension).
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.responses import StreamingResponse

from hypotez.server.context import Context
from hypotez.store import Document, Transaction
from hypotez.wire.run_events import LAST, PAUSE, run_event
from hypotez.wire.sse import ASSISTANTS_DONE, event, event_text
from hypotez.worker.run_states import ACTIVE, KIND

PING = b": still here\n\n"
ENDS = LAST | {"error"}
HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}


def streamed(ctx: Context, run: Document, after: int = 0) -> StreamingResponse:
    """Events after ``after`` until the run ends or waits for tool outputs, as OpenAI's ``stream: true``."""
    return StreamingResponse(_lines(ctx, run, after, through=False), headers=HEADERS, media_type="text/event-stream")


def followed(ctx: Context, run: Document, after: int = 0) -> StreamingResponse:
    """As ``streamed``, but past a wait for tool outputs that is already over."""
    return StreamingResponse(_lines(ctx, run, after, through=True), headers=HEADERS, media_type="text/event-stream")


async def ended(ctx: Context, run_id: str) -> None:
    """Return when the run holds its thread no longer."""
    async with aclosing(ctx.services.tail.follow(run_id)) as batches:
        async for batch in batches:
            if any(told.type in ENDS for told in batch):
                return


async def _lines(ctx: Context, run: Document, after: int, through: bool) -> AsyncGenerator[bytes]:
    last = await ctx.store.look(lambda tx: tx.events.last(run.id))
    if last <= after and (run.status not in ACTIVE or run.status == "requires_action"):
        if last == 0:  # so old that its events were cleared away: how it ended is still known
            name, body = run_event(run.body)
            yield event(body, name)
        yield ASSISTANTS_DONE
        return
    # a dead connection is noticed by writing, so an idle one is written to
    async with aclosing(ctx.services.tail.follow(run.id, after)) as batches:
        async for batch in batches:
            lines = []
            for told in batch:
                lines.append(event_text(told.text, told.type, told.seq))
                if told.type in ENDS or (
                    told.type == PAUSE and not (through and await _went_on(ctx, run.id, told.seq))
                ):
                    yield b"".join([*lines, ASSISTANTS_DONE])
                    return
            yield b"".join(lines) or PING


async def _went_on(ctx: Context, run_id: str, seq: int) -> bool:
    def reading(tx: Transaction) -> bool:
        run = tx.documents.find(KIND, run_id)
        return run is not None and (run.status != "requires_action" or tx.events.last(run_id) > seq)

    return await ctx.store.look(reading)
