"""/v1/threads/{thread_id}/messages: create, list, retrieve, modify, delete."""

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from hypotez.server.answers import answer, answer_text
from hypotez.server.context import Ctx
from hypotez.server.reading import json_router
from hypotez.server.waiting import when_free
from hypotez.store import Document, Transaction
from hypotez.wire.paging import ListQuery, listing_text
from hypotez.wire.thread_objects import deleted
from hypotez.wire.thread_requests import CreateMessage, ModifyMetadata
from hypotez.worker import threads
from hypotez.worker.threads import MESSAGE

router = json_router()


class MessageQuery(ListQuery):
    run_id: str | None = None  # only messages that this run wrote


@router.post("/threads/{thread_id}/messages")
async def create(thread_id: str, body: CreateMessage, ctx: Ctx) -> Response:
    """400 while a run is active, or a wait until it has ended with ``x-hypotez-wait: true``."""

    def attempt(tx: Transaction) -> Document:
        thread = tx.documents.get(threads.KIND, thread_id, project=ctx.project)
        return ctx.once.find(tx, MESSAGE) or threads.add_message(tx, thread, body, fingerprint=ctx.once.fingerprint)

    return ctx.created(await when_free(ctx, attempt))


@router.get("/threads/{thread_id}/messages")
async def list_all(thread_id: str, query: Annotated[MessageQuery, Query()], ctx: Ctx) -> Response:
    fields = {} if query.run_id is None else {"run_id": query.run_id}

    def reading(tx: Transaction) -> str:
        tx.documents.get(threads.KIND, thread_id, project=ctx.project)
        page = tx.documents.page_texts(MESSAGE, parent=thread_id, fields=fields, **query.model_dump(exclude={"run_id"}))
        return listing_text(*page)

    return answer_text(await ctx.store.look(reading))


@router.get("/threads/{thread_id}/messages/{message_id}")
async def retrieve(thread_id: str, message_id: str, ctx: Ctx) -> Response:
    return answer_text((await ctx.found(MESSAGE, message_id, parent=thread_id)).text)


@router.post("/threads/{thread_id}/messages/{message_id}")
async def modify(thread_id: str, message_id: str, ctx: Ctx, body: ModifyMetadata | None = None) -> Response:
    given = {name: value or {} for name, value in (body or ModifyMetadata()).sent().items()}
    return answer_text((await ctx.changed(MESSAGE, message_id, given, parent=thread_id)).text)


@router.delete("/threads/{thread_id}/messages/{message_id}")
async def delete(thread_id: str, message_id: str, ctx: Ctx) -> Response:
    def work(tx: Transaction) -> Document:
        found = tx.documents.get(MESSAGE, message_id, project=ctx.project, parent=thread_id)
        tx.documents.delete(found)
        return found

    return answer(deleted((await ctx.store.commit(work)).body))
