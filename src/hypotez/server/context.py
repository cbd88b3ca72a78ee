"""What an endpoint knows of its request: whose it is, what it may touch, and whether it was sent before.

@router.post("/things")
async def create(body: CreateThing, ctx: Ctx) -> Response:
    def work(tx: Transaction) -> Document:
        return ctx.once.find(tx, "thing") or tx.documents.create(
            "thing", new_thing(body), project=ctx.project, request=ctx.once.fingerprint
        )

    return ctx.created(await ctx.store.commit(work))
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.responses import Response

from hypotez.errors import Conflict, InvalidRequest, ModelNotFound
from hypotez.server.answers import answer_text
from hypotez.server.auth import Caller
from hypotez.server.once import Once
from hypotez.server.services import Services
from hypotez.store import Document, Store, Transaction
from hypotez.worker import resources


@dataclass(frozen=True)
class Context:
    services: Services
    caller: Caller
    request: Request

    @cached_property
    def once(self) -> Once:
        """Tells a first attempt from a retry, by the body as far as it was read."""
        # Starlette keeps the body once it was read; uploads are not kept and make their own fingerprint
        body: bytes = getattr(self.request, "_body", b"")
        return Once.of(self.request, self.project, body, self.services.delivered)

    @property
    def store(self) -> Store:
        return self.services.store

    @property
    def project(self) -> str:
        return self.caller.project

    def created(self, document: Document) -> Response:
        """The response to a creation; remembers that it was delivered once it is."""
        self.request.scope["hypotez.created"] = document.id
        return answer_text(document.text)

    async def check_model(self, model: str | None) -> None:
        """Refuse, in OpenAI's words, a model that this project's requests could not ask. ``None`` names none."""
        try:
            if model is not None:
                await self.services.router.route(model, self.project)
        except ModelNotFound as exc:
            what = f"The requested model '{model}' does not exist."
            raise InvalidRequest(what, param="model", code="model_not_found") from exc

    async def found(self, kind: str, id: str, *, parent: str | None = None) -> Document:
        """An object of this project. Raises ``NotFound``."""
        return await self.store.look(lambda tx: tx.documents.get(kind, id, project=self.project, parent=parent))

    async def changed(self, kind: str, id: str, fields: Mapping[str, Any], *, parent: str | None = None) -> Document:
        """Merge ``fields`` into an object of this project. Raises ``NotFound``, ``Conflict``."""

        def change(tx: Transaction) -> Document | None:
            found = tx.documents.get(kind, id, project=self.project, parent=parent)
            if "tool_resources" in fields:
                known = found.body.get("tool_resources")
                resources.check(tx, fields["tool_resources"], project=self.project, known=known)
            return tx.documents.change(found, fields)

        changed = await self.store.commit(change)
        if changed is None:
            raise Conflict(f"'{id}' was changed by another request at the same time; send it again.")
        return changed


async def context(request: Request) -> Context:
    """FastAPI's dependency. ``async`` although it awaits nothing: a plain one would cost a thread."""
    return Context(request.app.state.services, request.scope["hypotez.caller"], request)


Ctx = Annotated[Context, Depends(context)]
