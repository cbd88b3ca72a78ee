"""/v1/assistants: create, list, retrieve, modify, delete."""

import time
from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from hypotez.server.answers import answer, answer_text
from hypotez.server.context import Ctx
from hypotez.server.reading import json_router
from hypotez.wire.ids import new_id
from hypotez.wire.paging import ListQuery, listing_text
from hypotez.wire.thread_objects import assistant_changes, assistant_object, deleted
from hypotez.wire.thread_requests import CreateAssistant, ModifyAssistant

KIND = "assistant"

router = json_router()


@router.post("/assistants")
def create(body: CreateAssistant, ctx: Ctx) -> Response:
    with ctx.store.write() as tx:
        made = ctx.once.find(tx, KIND) or tx.documents.create(
            KIND,
            assistant_object(new_id("asst"), int(time.time()), body.sent()),
            project=ctx.project,
            request=ctx.once.fingerprint,
        )
    return ctx.created(made)


@router.get("/assistants")
def list_all(query: Annotated[ListQuery, Query()], ctx: Ctx) -> Response:
    with ctx.store.read() as tx:
        page = tx.documents.page_texts(KIND, project=ctx.project, **query.model_dump())
    return answer_text(listing_text(*page))


@router.get("/assistants/{assistant_id}")
def retrieve(assistant_id: str, ctx: Ctx) -> Response:
    with ctx.store.read() as tx:
        return answer(tx.documents.get(KIND, assistant_id, project=ctx.project).body)


@router.post("/assistants/{assistant_id}")
def modify(assistant_id: str, body: ModifyAssistant, ctx: Ctx) -> Response:
    given = body.sent()
    if given.get("model", "") is None:
        del given["model"]  # an assistant always has a model: null changes nothing
    return answer(ctx.changed(KIND, assistant_id, assistant_changes(given)).body)


@router.delete("/assistants/{assistant_id}")
def delete(assistant_id: str, ctx: Ctx) -> Response:
    with ctx.store.write() as tx:
        found = tx.documents.get(KIND, assistant_id, project=ctx.project)
        tx.documents.delete(found)
    return answer(deleted(found.body))
