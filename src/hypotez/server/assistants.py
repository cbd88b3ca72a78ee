"""/v1/assistants: create, list, retrieve, modify, delete."""

import time
from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from hypotez.server.answers import answer, answer_text
from hypotez.server.context import Ctx
from hypotez.server.reading import json_router
from hypotez.store import Document, Transaction
from hypotez.wire.ids import new_id
from hypotez.wire.paging import ListQuery, listing_text
from hypotez.wire.thread_objects import assistant_changes, assistant_object, deleted
from hypotez.wire.thread_requests import CreateAssistant, ModifyAssistant
from hypotez.worker import resources

KIND = "assistant"

router = json_router()


@router.post("/assistants")
async def create(body: CreateAssistant, ctx: Ctx) -> Response:
    await ctx.check_model(body.model)
    made = assistant_object(new_id("asst"), int(time.time()), body.sent())

    def work(tx: Transaction) -> Document:
        found = ctx.once.find(tx, KIND)
        if found is not None:
            return found
        resources.check(tx, made["tool_resources"], project=ctx.project)
        return tx.documents.create(KIND, made, project=ctx.project, request=ctx.once.fingerprint)

    return ctx.created(await ctx.store.commit(work))


@router.get("/assistants")
async def list_all(query: Annotated[ListQuery, Query()], ctx: Ctx) -> Response:
    page = await ctx.store.look(lambda tx: tx.documents.page_texts(KIND, project=ctx.project, **query.model_dump()))
    return answer_text(listing_text(*page))


@router.get("/assistants/{assistant_id}")
async def retrieve(assistant_id: str, ctx: Ctx) -> Response:
    return answer_text((await ctx.found(KIND, assistant_id)).text)


@router.post("/assistants/{assistant_id}")
async def modify(assistant_id: str, body: ModifyAssistant, ctx: Ctx) -> Response:
    await ctx.check_model(body.model)
    given = body.sent()
    if given.get("model", "") is None:
        del given["model"]  # an assistant always has a model: null changes nothing
    return answer_text((await ctx.changed(KIND, assistant_id, assistant_changes(given))).text)


@router.delete("/assistants/{assistant_id}")
async def delete(assistant_id: str, ctx: Ctx) -> Response:
    def work(tx: Transaction) -> Document:
        found = tx.documents.get(KIND, assistant_id, project=ctx.project)
        tx.documents.delete(found)
        return found

    return answer(deleted((await ctx.store.commit(work)).body))
