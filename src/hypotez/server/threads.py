"""/v1/threads: create, create and run, retrieve, modify, delete; and, for an administrator's key, list.

OpenAI has no list of threads. Ours exists because whoever lost the ids kept in another database has no other way
to the threads themselves.
"""

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from hypotez.errors import PermissionDenied
from hypotez.server.answers import answer, answer_text
from hypotez.server.context import Ctx
from hypotez.server.reading import json_router
from hypotez.server.runs import begun
from hypotez.store import Document, Transaction
from hypotez.wire.paging import ListQuery, listing_text
from hypotez.wire.thread_objects import deleted
from hypotez.wire.thread_requests import CreateThread, CreateThreadAndRun, ModifyThread
from hypotez.worker import run_life, threads
from hypotez.worker.run_states import KIND as RUN

router = json_router()


@router.post("/threads")
async def create(ctx: Ctx, body: CreateThread | None = None) -> Response:
    def work(tx: Transaction) -> Document:
        return ctx.once.find(tx, threads.KIND) or threads.create(
            tx, body or CreateThread(), project=ctx.project, fingerprint=ctx.once.fingerprint
        )

    return ctx.created(await ctx.store.commit(work))


@router.post("/threads/runs")
async def create_and_run(body: CreateThreadAndRun, ctx: Ctx) -> Response:
    await ctx.check_model(body.model)
    given = body.sent()
    wanted = body.thread or CreateThread()
    if body.tool_resources is not None and wanted.tool_resources is None:
        wanted.tool_resources = body.tool_resources

    def work(tx: Transaction) -> Document:
        found = ctx.once.find(tx, RUN)
        if found is not None:
            return found
        assistant = tx.documents.get("assistant", body.assistant_id, project=ctx.project)
        thread = threads.create(tx, wanted, project=ctx.project)
        return run_life.create(
            tx,
            thread,
            assistant,
            given,
            seconds=ctx.services.run_seconds,
            opening=[("thread.created", thread.body)],
            fingerprint=ctx.once.fingerprint,
        )

    return begun(ctx, await ctx.store.commit(work), stream=bool(body.stream))


@router.get("/threads")
async def list_all(query: Annotated[ListQuery, Query()], ctx: Ctx) -> Response:
    """Newest first. Raises ``PermissionDenied`` for a key that is not an administrator's."""
    if not ctx.caller.admin:
        raise PermissionDenied(
            "Threads are listed for an administrator's key only: `hypotez keys create --admin` makes one."
        )
    given = query.model_dump()
    page = await ctx.store.look(lambda tx: tx.documents.page_texts(threads.KIND, project=ctx.project, **given))
    return answer_text(listing_text(*page))


@router.get("/threads/{thread_id}")
async def retrieve(thread_id: str, ctx: Ctx) -> Response:
    return answer_text((await ctx.found(threads.KIND, thread_id)).text)


@router.post("/threads/{thread_id}")
async def modify(thread_id: str, ctx: Ctx, body: ModifyThread | None = None) -> Response:
    given = {name: value or {} for name, value in (body or ModifyThread()).sent().items()}
    return answer_text((await ctx.changed(threads.KIND, thread_id, given)).text)


@router.delete("/threads/{thread_id}")
async def delete(thread_id: str, ctx: Ctx) -> Response:
    def work(tx: Transaction) -> Document:
        found = tx.documents.get(threads.KIND, thread_id, project=ctx.project)
        threads.delete(tx, found)
        return found

    return answer(deleted((await ctx.store.commit(work)).body))
