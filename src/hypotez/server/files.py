"""/v1/files: upload, list, content, delete. Contents lie in ``store.blobs`` under the file's id, never its name."""

import hashlib
import time
from collections.abc import Iterator
from typing import Annotated, Any, BinaryIO

from fastapi import File, Form, Query, UploadFile
from fastapi.routing import APIRoute
from openai.types import FileDeleted, FileObject
from pydantic import Field
from starlette.responses import FileResponse, Response

from hypotez.errors import InvalidRequest, NotFound
from hypotez.server.answers import answer
from hypotez.server.context import Context, Ctx
from hypotez.server.reading import json_router
from hypotez.store import Document, Transaction
from hypotez.wire.door import shape
from hypotez.wire.ids import new_id
from hypotez.wire.jsonl import check_jsonl
from hypotez.wire.paging import ListQuery, listing

Json = dict[str, Any]

PURPOSES = ["fine-tune", "assistants", "batch", "user_data", "vision", "evals"]
IN_LINES = {"fine-tune", "batch"}  # purposes whose files must be JSONL
PIECE = 1024 * 1024  # bytes read at once
DAY = 24 * 3600

router = json_router()


class FileQuery(ListQuery):
    limit: Annotated[int, Field(ge=1, le=10_000)] = 10_000
    purpose: str | None = None


def create(
    ctx: Ctx,
    file: Annotated[UploadFile, File()],
    purpose: Annotated[str, Form()],
    anchor: Annotated[str | None, Form(alias="expires_after[anchor]")] = None,
    seconds: Annotated[int | None, Form(alias="expires_after[seconds]", ge=3600, le=30 * DAY)] = None,
) -> Response:
    """Store an upload. Training files are checked line by line before they are kept."""
    if purpose not in PURPOSES:
        raise InvalidRequest(f"'{purpose[:100]}' is not one of {PURPOSES} - 'purpose'", param="purpose")
    if anchor not in (None, "created_at"):
        raise InvalidRequest(f"Invalid value: '{anchor[:100]}'. Supported values are: 'created_at'.",
                             param="expires_after.anchor", code="invalid_value")  # fmt: skip
    if purpose in IN_LINES:
        file.file.seek(0)
        check_jsonl(file.file)
    file.file.seek(0)
    id = new_id("file")
    size, digest = ctx.store.blobs.put(id, _pieces(file.file))
    name = _own_name(file.filename or "")
    now = int(time.time())
    expiry = {} if seconds is None else {"expires_at": now + seconds}
    body = shape(FileObject, id=id, object="file", bytes=size, created_at=now, filename=name, purpose="user_data",
                 status="processed", **expiry)  # fmt: skip
    body["purpose"] = purpose  # OpenAI's type of the answer lacks "evals", which its type of the request has
    made = _once(ctx, body, hashlib.sha256(f"{purpose}\n{name}\n{digest}".encode()).digest())
    return ctx.created(made)


router.add_api_route("/files", create, methods=["POST"], route_class_override=APIRoute)  # a form, which FastAPI reads


@router.get("/files")
def list_files(ctx: Ctx, query: Annotated[FileQuery, Query()]) -> Response:
    """This project's files, newest first unless asked otherwise."""
    fields = {} if query.purpose is None else {"purpose": query.purpose}
    with ctx.store.read() as tx:
        page = tx.documents.page(
            "file",
            project=ctx.project,
            limit=query.limit,
            order=query.order,
            after=query.after,
            before=query.before,
            fields=fields,
        )
    return answer(listing([item.body for item in page.items if not _expired(item)], page.has_more))


@router.get("/files/{file_id}")
def retrieve(file_id: str, ctx: Ctx) -> Response:
    with ctx.store.read() as tx:
        return answer(_find(tx, file_id, ctx).body)


@router.get("/files/{file_id}/content")
def content(file_id: str, ctx: Ctx) -> Response:
    """The bytes as they were uploaded. Unlike OpenAI we give back files of purpose ``assistants`` too."""
    with ctx.store.read() as tx:
        found = _find(tx, file_id, ctx)
    path = ctx.store.blobs.open(file_id)
    # never shown by a browser as a page: the content is the client's
    headers = {"x-content-type-options": "nosniff"}
    return FileResponse(path, headers=headers, media_type="application/octet-stream", filename=found.body["filename"])


@router.delete("/files/{file_id}")
def delete(file_id: str, ctx: Ctx) -> Response:
    with ctx.store.write() as tx:
        tx.documents.delete(_find(tx, file_id, ctx))
    ctx.store.blobs.delete(file_id)
    return answer(shape(FileDeleted, id=file_id, object="file", deleted=True))


def _own_name(path: str) -> str:
    """The last part of a client's path. A lone surrogate, which some charsets give, has no form in UTF-8."""
    return path.replace("\\", "/").rpartition("/")[2][:255].encode(errors="replace").decode() or "upload"


def _once(ctx: Context, body: Json, digest: bytes) -> Document:
    """The file's document; an earlier attempt's when this is a retry, and then the second copy goes."""
    once = ctx.once.over(digest)
    try:
        with ctx.store.write() as tx:
            made = once.find(tx, "file") or tx.documents.create(
                "file", body, project=ctx.project, request=once.fingerprint
            )
    except BaseException:
        ctx.store.blobs.delete(body["id"])
        raise
    if made.id != body["id"]:
        ctx.store.blobs.delete(body["id"])
    return made


def _find(tx: Transaction, id: str, ctx: Context) -> Document:
    found = tx.documents.find("file", id, project=ctx.project)
    if found is None or _expired(found):
        raise NotFound(f"No such File object: {id}", param="id")
    return found


def _expired(file: Document) -> bool:
    at = file.body.get("expires_at")
    return at is not None and at < time.time()


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(PIECE):
        yield piece
