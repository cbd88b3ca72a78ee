"""The ASGI application: routers, errors, and one thin layer around every request."""

import logging
import time
from collections.abc import Sequence
from itertools import count

from fastapi import APIRouter, FastAPI
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hypotez import spans
from hypotez.errors import HypotezError
from hypotez.server import health, metrics, problems
from hypotez.server.auth import Keys, caller_of
from hypotez.server.context import Context
from hypotez.server.dispatch import Dispatch
from hypotez.server.limits import Limits
from hypotez.server.problems import TooLarge
from hypotez.server.reading import JsonRequest, JsonRoute
from hypotez.server.services import Services
from hypotez.wire.ids import random_name

log = logging.getLogger(__name__)


def create_app(services: Services, routers: Sequence[APIRouter] = ()) -> ASGIApp:
    """The application. ``routers`` are mounted under /v1; the assembler names them (``embedded``)."""
    app = FastAPI(title="hypotez", openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.services = services
    app.state.requests = metrics.Requests()
    problems.install(app)
    app.include_router(health.router)
    app.include_router(metrics.router)
    for router in routers:
        app.include_router(router, prefix="/v1")
    keys = Keys(services.store, services.api_key, needed=services.needs_key)
    return Edge(app, _json_routes(routers, "/v1"), services, keys, app.state.requests)


def _json_routes(routers: Sequence[APIRouter], prefix: str) -> Dispatch[JsonRoute]:
    routes: Dispatch[JsonRoute] = Dispatch()
    for router in routers:
        for route in router.routes:
            if isinstance(route, JsonRoute) and ":" not in route.path:  # ``{model:path}`` takes slashes, too
                routes.add(list(route.methods or ()), prefix + route.path, route)
    return routes


class Edge:
    """Around every request: who asks, how large it is, its id and time, and the last resort for errors.

    Pure ASGI: Starlette's ``BaseHTTPMiddleware`` would cost more than the whole endpoint. JSON routes are called from
    here, everything else goes to ``app``.
    """

    def __init__(
        self, app: ASGIApp, routes: Dispatch[JsonRoute], services: Services, keys: Keys, requests: metrics.Requests
    ) -> None:
        self.app, self.routes = app, routes
        self.services, self.keys, self.requests = services, keys, requests
        self.limits = Limits()
        self.name, self.numbers = random_name(14), count(1)  # a request's id is unique, not a secret

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif spans.on():
            await self._traced(scope, receive, send)
        else:
            await self._answer(scope, receive, send)

    async def _traced(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"]
        with spans.span(method, {"http.request.method": method, "url.path": path}, server=True) as span:

            async def told(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set(http__response__status_code=message["status"])
                await send(message)

            await self._answer(scope, receive, told)
            if (route := scope.get("hypotez.route")) is not None:
                span.rename(f"{method} {route}")
                span.set(http__route=route)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = time.perf_counter()
        request_id = f"req_{self.name}{next(self.numbers):010}"
        started = False
        limits: list[tuple[bytes, bytes]] = []

        async def stamped(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                self.requests.count(message["status"])
                took = int((time.perf_counter() - begun) * 1000)
                message["headers"] += [
                    *limits,
                    (b"x-request-id", request_id.encode()),
                    (b"openai-processing-ms", str(took).encode()),
                    (b"openai-version", b"2020-10-01"),
                ]
                await send(message)
            elif "hypotez.created" in scope:
                await self._deliver(scope, receive, send, message)
            else:
                await send(message)

        try:
            limited = self._admit(scope, receive, limits)
            found = self.routes.find(scope["method"], scope["path"])
            if found is None:
                await self.app(scope, limited, stamped)
                return
            route, scope["path_params"] = found
            scope["hypotez.route"] = f"/v1{route.path}"
            ctx = Context(self.services, scope["hypotez.caller"], JsonRequest(scope, limited))
            response = await route.respond(ctx)
            await response(scope, limited, stamped)
            return
        except HypotezError as error:
            response = problems.problem(error)
        except HTTPException as error:
            response = problems.refused(error, scope["method"], scope["path"])
        except Exception as error:
            if started:
                raise  # the status is out; closing the connection is all that is left to say
            response = problems.unexpected(error)
        if not started:
            await response(scope, receive, stamped)

    def _admit(self, scope: Scope, receive: Receive, limits: list[tuple[bytes, bytes]]) -> Receive:
        """Set the caller or refuse. Returns ``receive`` with the limit on the body's size."""
        most = self.services.max_upload if scope["path"] == "/v1/files" else self.services.max_body
        headers = dict(scope["headers"])
        if scope["path"].startswith("/v1") or scope["path"] == "/metrics":
            caller = scope["hypotez.caller"] = caller_of(headers, self.keys)
            most = most if caller.max_body is None else min(most, caller.max_body)
            if caller.per_minute is not None:
                told = self.limits.spend(str(caller.key), caller.per_minute)
                limits += [(name.encode(), value.encode()) for name, value in told.items()]
        most += 64 * 1024  # the multipart envelope
        declared = headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared[:20]) > most:
            raise TooLarge(f"Request too large: at most {most} bytes are accepted here.")
        got = 0

        async def limited() -> Message:
            nonlocal got
            message = await receive()
            got += len(message.get("body", b""))
            if got > most:
                raise HTTPException(413, f"Request too large: at most {most} bytes are accepted here.")
            return message

        return limited

    async def _deliver(self, scope: Scope, receive: Receive, send: Send, message: Message) -> None:
        """Send the first body of a creation's response and record that a connected client got it."""
        if message.get("more_body") and not message.get("body"):
            await send(message)
            return
        id = scope.pop("hypotez.created")
        gone = _disconnected(receive)
        await send(message)
        if not gone:
            self.services.delivered.add(id)


def _disconnected(receive: Receive) -> bool:
    """Whether the client closed the connection, without waiting: one step of ``receive`` by hand.

    Starlette's ``is_disconnected`` asks the same through a cancel scope, which costs as much as the endpoint.
    """
    step = receive()
    try:
        step.__await__().send(None)
    except StopIteration as told:
        return bool(told.value["type"] == "http.disconnect")
    finally:
        step.close()  # type: ignore[attr-defined]
    return False
