"""What an endpoint knows of its request: whose it is, what it may touch, and whether it was sent before.

@router.post("/things")
def create(body: CreateThing, ctx: Ctx) -> Response:
    with ctx.store.write() as tx:
        made = ctx.once.find(tx, "thing") or tx.documents.create(
            "thing", new_thing(body), project=ctx.project, request=ctx.once.fingerprint
        )
    return ctx.created(made)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.responses import Response

from hypotez.errors import Conflict
from hypotez.server.answers import answer
from hypotez.server.auth import Caller
from hypotez.server.once import Once
from hypotez.server.services import Services
from hypotez.store import Document, Store


@dataclass(frozen=True, slots=True)
class Context:
    services: Services
    caller: Caller
    once: Once
    request: Request

    @property
    def store(self) -> Store:
        return self.services.store

    @property
    def project(self) -> str:
        return self.caller.project

    def created(self, document: Document) -> Response:
        """The response to a creation; remembers that it was delivered once it is."""
        self.request.scope["hypotez.created"] = document.id
        return answer(document.body)

    def changed(self, kind: str, id: str, fields: Mapping[str, Any], *, parent: str | None = None) -> Document:
        """Merge ``fields`` into an object of this project. Raises ``NotFound``, ``Conflict``."""
        with self.store.write() as tx:
            found = tx.documents.get(kind, id, project=self.project, parent=parent)
            changed = tx.documents.change(found, fields)
        if changed is None:
            raise Conflict(f"'{id}' was changed by another request at the same time; send it again.")
        return changed


async def context(request: Request) -> Context:
    """FastAPI's dependency. ``async`` although it awaits nothing: a plain one would cost a thread."""
    services: Services = request.app.state.services
    caller: Caller = request.scope["hypotez.caller"]
    # Starlette keeps the body once FastAPI has read it; uploads are not kept and make their own fingerprint
    body: bytes = getattr(request, "_body", b"")
    return Context(services, caller, Once.of(request, caller.project, body, services.delivered), request)


Ctx = Annotated[Context, Depends(context)]
