"""/v1/threads/{thread_id}/runs/{run_id}/steps: list, retrieve."""

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from hypotez.server.answers import answer, answer_text
from hypotez.server.context import Ctx
from hypotez.server.reading import json_router
from hypotez.wire.paging import ListQuery, listing_text
from hypotez.worker.run_states import KIND as RUN
from hypotez.worker.threads import STEP

router = json_router()


@router.get("/threads/{thread_id}/runs/{run_id}/steps")
def list_all(thread_id: str, run_id: str, query: Annotated[ListQuery, Query()], ctx: Ctx) -> Response:
    with ctx.store.read() as tx:
        tx.documents.get(RUN, run_id, project=ctx.project, parent=thread_id)
        page = tx.documents.page_texts(STEP, parent=run_id, **query.model_dump())
    return answer_text(listing_text(*page))


@router.get("/threads/{thread_id}/runs/{run_id}/steps/{step_id}")
def retrieve(thread_id: str, run_id: str, step_id: str, ctx: Ctx) -> Response:
    with ctx.store.read() as tx:
        tx.documents.get(RUN, run_id, project=ctx.project, parent=thread_id)
        return answer(tx.documents.get(STEP, step_id, project=ctx.project, parent=run_id).body)
