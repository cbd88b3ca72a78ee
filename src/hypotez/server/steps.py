"""/v1/threads/{thread_id}/runs/{run_id}/steps: list, retrieve."""

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from hypotez.server.answers import answer_text
from hypotez.server.context import Ctx
from hypotez.server.reading import json_router
from hypotez.store import Transaction
from hypotez.wire.paging import ListQuery, listing_text
from hypotez.worker.run_states import KIND as RUN
from hypotez.worker.threads import STEP

router = json_router()


@router.get("/threads/{thread_id}/runs/{run_id}/steps")
async def list_all(thread_id: str, run_id: str, query: Annotated[ListQuery, Query()], ctx: Ctx) -> Response:
    def reading(tx: Transaction) -> str:
        tx.documents.get(RUN, run_id, project=ctx.project, parent=thread_id)
        return listing_text(*tx.documents.page_texts(STEP, parent=run_id, **query.model_dump()))

    return answer_text(await ctx.store.look(reading))


@router.get("/threads/{thread_id}/runs/{run_id}/steps/{step_id}")
async def retrieve(thread_id: str, run_id: str, step_id: str, ctx: Ctx) -> Response:
    def reading(tx: Transaction) -> str:
        tx.documents.get(RUN, run_id, project=ctx.project, parent=thread_id)
        return tx.documents.get(STEP, step_id, project=ctx.project, parent=run_id).text

    return answer_text(await ctx.store.look(reading))
