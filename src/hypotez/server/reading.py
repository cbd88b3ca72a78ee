"""Reading JSON requests: whatever comes, the endpoint gets values we can store and send back, or the client a 400.

FastAPI reads a route's signature; ``JsonRoute`` keeps what it found and answers requests itself. An endpoint of its
kind takes the names of its path, a context, one body and one model of query parameters, and returns a response.
Declare anything else (a form, a header) on a plain ``APIRouter``.
"""

import json
import math
import re
from collections.abc import Callable, Coroutine, Mapping
from inspect import isclass, iscoroutinefunction
from types import NoneType
from typing import Any, get_args
from urllib.parse import parse_qsl

from fastapi import APIRouter
from fastapi._compat import ModelField
from fastapi.dependencies.models import Dependant
from fastapi.params import Form
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic_core import from_json
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Scope

from hypotez.errors import InvalidRequest
from hypotez.server.context import Context, context
from hypotez.server.disconnect import ClientGone
from hypotez.wire.faults import BAD_JSON, fault

# a number this long or with such an exponent may be infinite as a float, and infinity is not JSON
HUGE = re.compile(rb"[eE]\+?\d{3}|\d{309}")
JSON_TYPES = re.compile(r"\s*application/(?:[^;\s]+\+)?json\s*(?:;|$)", re.IGNORECASE)


class JsonRequest(Request):
    _value: Any

    async def body(self) -> bytes:
        """As Starlette's, without a generator around what nearly always comes in one piece."""
        if not hasattr(self, "_body"):
            parts, more = [], True
            while more:
                message = await self.receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                parts.append(message.get("body", b""))
                more = message.get("more_body", False)
            self._body = b"".join(parts)
        return self._body

    async def json(self) -> Any:
        """The body. Faster than ``json.loads`` and strict: no NaN, no nesting beyond 200, no endless digits."""
        if hasattr(self, "_value"):
            return self._value
        raw = await self.body()
        try:
            value = from_json(raw, allow_inf_nan=False)
            if HUGE.search(raw) and _infinite(value):
                raise ValueError("a number is too large")
        except ValueError as exc:
            raise json.JSONDecodeError(str(exc), "", 0) from exc
        self._value = value
        return value


class JsonRoute(APIRoute):
    """Answers a request without FastAPI's dependencies, exit stacks and encoders, which take longer than the rest."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self._arguments = _Arguments(self.dependant, path)
        self._awaited = iscoroutinefunction(endpoint)

    async def respond(self, ctx: Context) -> Response:
        """The endpoint's response. Raises ``HypotezError``, in OpenAI's words where the request is at fault."""
        values = await self._arguments.read(ctx)
        response: Response
        if self._awaited:
            response = await self.endpoint(**values)
        else:
            response = await run_in_threadpool(self.endpoint, **values)
        return response

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """For the paths that FastAPI's own router finds (``dispatch.py`` says which)."""

        async def handler(request: Request) -> Response:
            return await self.respond(await context(JsonRequest(request.scope, request.receive)))

        return handler


def json_router() -> APIRouter:
    """An empty router; every resource of this server begins with one."""
    return APIRouter(route_class=JsonRoute)


class _Arguments:
    """Reads what an endpoint's signature asks for."""

    def __init__(self, dependant: Dependant, path: str) -> None:
        self._path = [field.name for field in dependant.path_params]
        self._context = [one.name for one in dependant.dependencies if one.call is context and one.name]
        self._query, self._body = dependant.query_params, dependant.body_params
        read = [*self._query[:1], *self._body[:1]]
        rest = [*dependant.header_params, *dependant.cookie_params, *self._query[1:], *self._body[1:]]
        if rest or len(self._context) != len(dependant.dependencies) or not all(map(_is_model, read)):
            raise TypeError(f"The signature of {path} asks for more than a JsonRoute reads; use a plain APIRouter.")

    async def read(self, ctx: Context) -> dict[str, Any]:
        """The endpoint's arguments by name. Raises ``InvalidRequest``, ``ClientGone``."""
        scope = ctx.request.scope
        values = {name: scope["path_params"][name] for name in self._path}
        values.update(dict.fromkeys(self._context, ctx))
        errors: list[dict[str, Any]] = []
        for query in self._query:
            values[query.name], errors = query.validate(_query(scope), loc=("query",))
        for body in self._body:
            sent = await _sent(ctx.request)
            if sent is None and not body.field_info.is_required():
                values[body.name] = body.get_default()
            elif sent is None:
                errors += [{"type": "missing", "loc": ("body",), "msg": "Field required", "input": None}]
            else:
                values[body.name], wrong = body.validate(sent, loc=("body",))
                errors += wrong
        if errors:
            raise fault(errors)
        return values


def _is_model(field: ModelField) -> bool:
    """Whether it is declared as a pydantic model (or none of it), and not as a form."""
    kinds = get_args(field.field_info.annotation) or (field.field_info.annotation,)
    models = [kind for kind in kinds if kind is not NoneType]
    return not isinstance(field.field_info, Form) and all(
        isclass(kind) and issubclass(kind, BaseModel) for kind in models
    )


async def _sent(request: Request) -> Any:
    """The body as JSON, or its bytes where the client calls it something else; None for no body and for null."""
    try:
        raw = await request.body()
        if not raw:
            return None
        return await request.json() if JSON_TYPES.match(request.headers.get("content-type", "")) else raw
    except ClientDisconnect as exc:
        raise ClientGone("The client closed the connection.") from exc
    except json.JSONDecodeError as exc:
        raise InvalidRequest(BAD_JSON) from exc


def _query(scope: Scope) -> Mapping[str, str]:
    text = scope["query_string"]
    return dict(parse_qsl(text.decode("latin-1"), keep_blank_values=True)) if text else {}


def _infinite(value: Any) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, dict):
        return any(map(_infinite, value.values()))
    return isinstance(value, list) and any(map(_infinite, value))
