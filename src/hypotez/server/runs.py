"""/v1/threads/{thread_id}/runs: create, stream, follow, list, modify, answer, cancel.

Creating only queues: the worker executes, and a stream follows what the worker tells.
"""

from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from hypotez.server.answers import answer_text
from hypotez.server.context import Context, Ctx
from hypotez.server.follow import followed, streamed
from hypotez.server.reading import json_router
from hypotez.server.waiting import when_free
from hypotez.store import Document, Transaction
from hypotez.wire.paging import ListQuery, listing_text
from hypotez.wire.thread_requests import CreateRun, ModifyMetadata, SubmitToolOutputs
from hypotez.worker import run_life, threads
from hypotez.worker.run_states import KIND

POLL = {"openai-poll-after-ms": "100"}  # the SDK's polling helpers ask again after so long; their default is a second

router = json_router()


class FollowQuery(BaseModel):
    after: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0


@router.post("/threads/{thread_id}/runs")
async def create(thread_id: str, body: CreateRun, ctx: Ctx) -> Response:
    """400 while another run is active, or a wait until it has ended with ``x-hypotez-wait: true``."""
    await ctx.check_model(body.model)

    def attempt(tx: Transaction) -> Document:
        thread = tx.documents.get(threads.KIND, thread_id, project=ctx.project)
        found = ctx.once.find(tx, KIND)
        if found is not None:
            return found
        return run_life.create(
            tx,
            thread,
            tx.documents.get("assistant", body.assistant_id, project=ctx.project),
            body.sent(),
            messages=body.additional_messages or (),
            seconds=ctx.services.run_seconds,
            fingerprint=ctx.once.fingerprint,
        )

    return begun(ctx, await when_free(ctx, attempt), stream=bool(body.stream))


@router.get("/threads/{thread_id}/runs")
async def list_all(thread_id: str, query: Annotated[ListQuery, Query()], ctx: Ctx) -> Response:
    def reading(tx: Transaction) -> str:
        tx.documents.get(threads.KIND, thread_id, project=ctx.project)
        return listing_text(*tx.documents.page_texts(KIND, parent=thread_id, **query.model_dump()))

    return answer_text(await ctx.store.look(reading))


@router.get("/threads/{thread_id}/runs/{run_id}")
async def retrieve(thread_id: str, run_id: str, ctx: Ctx) -> Response:
    return answer_text((await ctx.found(KIND, run_id, parent=thread_id)).text, headers=POLL)


@router.get("/threads/{thread_id}/runs/{run_id}/stream")
async def follow(
    thread_id: str,
    run_id: str,
    query: Annotated[FollowQuery, Query()],
    ctx: Ctx,
) -> Response:
    """Our extension: the run's events from any place; ``after`` is the ``id`` of the last event seen."""
    after, last = query.after, ctx.request.headers.get("last-event-id", "")
    if not after and last.isdecimal() and len(last) < 19:
        after = int(last)
    return followed(ctx, await ctx.found(KIND, run_id, parent=thread_id), after)


@router.post("/threads/{thread_id}/runs/{run_id}")
async def modify(thread_id: str, run_id: str, ctx: Ctx, body: ModifyMetadata | None = None) -> Response:
    given = {name: value or {} for name, value in (body or ModifyMetadata()).sent().items()}
    return answer_text((await ctx.changed(KIND, run_id, given, parent=thread_id)).text, headers=POLL)


@router.post("/threads/{thread_id}/runs/{run_id}/submit_tool_outputs")
async def submit_tool_outputs(thread_id: str, run_id: str, body: SubmitToolOutputs, ctx: Ctx) -> Response:
    """All outputs at once. A retried request finds its first attempt and is answered as that was."""

    def work(tx: Transaction) -> Document:
        run = _run(tx, ctx, thread_id, run_id)
        if ctx.once.again and run.private.get("submitted") == ctx.once.fingerprint:
            return run
        outputs = [output.sent() for output in body.tool_outputs]
        after = tx.events.last(run.id)
        return run_life.submit_outputs(tx, run, outputs, fingerprint=ctx.once.fingerprint, after=after)

    run = await ctx.store.commit(work)
    ctx.services.wake(run_life.WORK)
    return streamed(ctx, run, run.private["submitted_after"]) if body.stream else answer_text(run.text, headers=POLL)


@router.post("/threads/{thread_id}/runs/{run_id}/cancel")
async def cancel(thread_id: str, run_id: str, ctx: Ctx) -> Response:
    def work(tx: Transaction) -> Document:
        run = _run(tx, ctx, thread_id, run_id)
        return run if ctx.once.again and run.status == "cancelled" else run_life.cancel(tx, run)

    run = await ctx.store.commit(work)
    ctx.services.wake(run_life.WORK)
    return answer_text(run.text, headers=POLL)


def _run(tx: Transaction, ctx: Context, thread_id: str, run_id: str) -> Document:
    return tx.documents.get(KIND, run_id, project=ctx.project, parent=thread_id)


def begun(ctx: Context, run: Document, *, stream: bool) -> Response:
    """The response to a run's creation, and the word to the worker."""
    ctx.services.wake(run_life.WORK)
    if not stream:
        return ctx.created(run)
    ctx.request.scope["hypotez.created"] = run.id
    return streamed(ctx, run)
