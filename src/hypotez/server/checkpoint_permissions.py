"""/v1/fine_tuning/checkpoints/{checkpoint}/permissions: who else may use a tuned model."""

import time
from typing import Annotated, Any, Literal

from fastapi import Query
from openai.types.fine_tuning.checkpoints import PermissionCreateResponse, PermissionDeleteResponse
from pydantic import BaseModel
from starlette.responses import Response

from hypotez.errors import ModelNotFound, NotFound, PermissionDenied
from hypotez.server.answers import answer
from hypotez.server.context import Context, Ctx
from hypotez.server.reading import json_router
from hypotez.store import Document, Transaction
from hypotez.wire.door import shape
from hypotez.wire.fine_tuning_requests import CreatePermissions
from hypotez.wire.ids import new_id
from hypotez.wire.paging import Limit, listing
from hypotez.worker.routing import PERMISSION

PATH = "/fine_tuning/checkpoints/{checkpoint:path}/permissions"

router = json_router()


class PermissionQuery(BaseModel):
    limit: Limit = 10
    order: Literal["ascending", "descending"] = "descending"
    after: str | None = None
    project_id: str | None = None


@router.post(PATH)
def create(checkpoint: str, body: CreatePermissions, ctx: Ctx) -> Response:
    """Let other projects use the model; asking twice changes nothing."""
    with ctx.store.write() as tx:
        model = _owned(tx, checkpoint, ctx)
        made = [_permit(tx, model, project, ctx) for project in dict.fromkeys(body.project_ids)]
    return answer(listing([permission.body for permission in made], has_more=False))


@router.get(PATH)
def retrieve(checkpoint: str, ctx: Ctx, query: Annotated[PermissionQuery, Query()]) -> Response:
    fields = {} if query.project_id is None else {"project_id": query.project_id}
    with ctx.store.read() as tx:
        _owned(tx, checkpoint, ctx)
        order: Any = "asc" if query.order == "ascending" else "desc"
        page = tx.documents.page(
            PERMISSION, parent=checkpoint, limit=query.limit, order=order, after=query.after, fields=fields
        )
    return answer(listing([item.body for item in page.items], page.has_more))


@router.delete(PATH + "/{permission_id}")
def delete(checkpoint: str, permission_id: str, ctx: Ctx) -> Response:
    with ctx.store.write() as tx:
        _owned(tx, checkpoint, ctx)
        found = tx.documents.find(PERMISSION, permission_id, parent=checkpoint)
        if found is None:
            raise NotFound(f"No permission found with id '{permission_id}'.", param="permission_id")
        tx.documents.delete(found)
    return answer(shape(PermissionDeleteResponse, id=permission_id, object="checkpoint.permission", deleted=True))


def _owned(tx: Transaction, checkpoint: str, ctx: Context) -> Document:
    if not ctx.caller.admin:
        raise PermissionDenied("Permissions of checkpoints are an administrator's; use an admin key.")
    model = tx.documents.find("model", checkpoint)
    if model is None:
        raise ModelNotFound(checkpoint)
    return model


def _permit(tx: Transaction, model: Document, project: str, ctx: Context) -> Document:
    there = tx.documents.page(PERMISSION, parent=model.id, fields={"project_id": project}, limit=1).items
    if there:
        return there[0]
    body = shape(PermissionCreateResponse, id=new_id("cp"), object="checkpoint.permission",
                 created_at=int(time.time()), project_id=project)  # fmt: skip
    return tx.documents.create(PERMISSION, body, project=model.project, parent=model.id)
