"""/v1/models: what can be asked here. Local models, this project's tuned ones, aliases, and what upstreams list."""

import shutil
from pathlib import Path
from typing import Any

from openai.types import Model, ModelDeleted
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from hypotez.backend import Card
from hypotez.errors import ModelNotFound, PermissionDenied
from hypotez.server.answers import answer
from hypotez.server.context import Context, Ctx
from hypotez.server.reading import json_router
from hypotez.store import Document
from hypotez.wire.door import shape

Json = dict[str, Any]

FALLBACK = "gpt-4o-mini"  # shown when the default local model answers for it

router = json_router()


@router.get("/models")
async def list_models(ctx: Ctx) -> Response:
    """Every name that a request may use, each once."""
    return answer({"object": "list", "data": list((await _all(ctx)).values())})


@router.get("/models/{model:path}")
async def retrieve(model: str, ctx: Ctx) -> Response:
    """One model; a name that only a pattern of an upstream matches is there too."""
    known = (await _all(ctx)).get(model)
    if known is None:
        route = await ctx.services.router.route(model, ctx.project)
        known = _body(Card(model, owned_by="hypotez" if route.local else "upstream"))
    return answer(known)


@router.delete("/models/{model:path}")
async def delete(model: str, ctx: Ctx) -> Response:
    """Delete a tuned model or a checkpoint of one, its files included."""
    deleted = await run_in_threadpool(_delete, model, ctx)
    if deleted is not None:
        return answer(deleted)
    if model.startswith("ft:") or model not in await _all(ctx):
        raise ModelNotFound(model)
    raise PermissionDenied(f"Model '{model}' is not a fine-tuned model of yours and cannot be deleted.")


def _delete(model: str, ctx: Context) -> Json | None:
    with ctx.store.write() as tx:
        found = tx.documents.find("model", model, project=ctx.project)
        if found is None:
            return None
        tx.documents.delete(found)
    if found.private.get("path"):
        shutil.rmtree(Path(found.private["path"]), ignore_errors=True)
    return shape(ModelDeleted, id=model, object="model", deleted=True)


async def _all(ctx: Context) -> dict[str, Json]:
    """Name to body. The first to serve a name is the one shown, as in routing."""
    routing = ctx.services.router
    cards = {card.id: _body(card) for card in await routing.local_cards() if not card.id.startswith("ft:")}
    cards |= {model.id: model.body for model in await run_in_threadpool(_tuned, ctx)}
    for name, target in routing.aliases.items():
        cards.setdefault(name, _body(Card(name, owned_by="hypotez", extra={"alias_of": target})))
    for served in routing.upstreams:
        for card in await served.backend.cards():
            if served.serves(card.id):
                cards.setdefault(card.id, _body(card))
    if routing.default is not None and not any(served.serves(FALLBACK) for served in routing.upstreams):
        cards.setdefault(FALLBACK, _body(Card(FALLBACK, extra={"alias_of": routing.default})))
    return cards


def _tuned(ctx: Context) -> list[Document]:
    models: list[Document] = []
    with ctx.store.read() as tx:
        more = True
        while more:
            after = models[-1].id if models else None
            page = tx.documents.page("model", project=ctx.project, limit=1000, after=after)
            models += page.items
            more = page.has_more
    return models


def _body(card: Card) -> Json:
    """OpenAI's fields, then ours under one name."""
    ours = {
        "context_window": card.context_window,
        "sees_images": card.sees_images,
        "trainable": card.trainable,
        **card.extra,
    }
    return shape(
        Model,
        id=card.id,
        object="model",
        created=card.created,
        owned_by=card.owned_by,
        shutdown_date=None,
        hypotez={key: value for key, value in ours.items() if value not in (None, False)},
    )
