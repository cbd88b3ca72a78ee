"""Reading JSON requests: whatever comes, the endpoint gets values we can store and send back, or the client a 400.

``JsonRoute`` reads an endpoint's signature once and answers requests itself, on FastAPI's and pydantic's public names
alone. An endpoint of its kind takes the names of its path, a context, one body and one model of query parameters, and
returns a response.
Declare anything else (a form, a header) on a plain ``APIRouter``.
"""

import json
import math
import re
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from inspect import Parameter, isclass, iscoroutinefunction, signature
from types import NoneType
from typing import Annotated, Any, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl

from fastapi import APIRouter
from fastapi.params import Depends, Query
from fastapi.routing import APIRoute
from pydantic import BaseModel, TypeAdapter, ValidationError
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
        self._arguments = _Arguments(endpoint, path)
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

    def __init__(self, endpoint: Callable[..., Any], path: str) -> None:
        self._path: list[str] = []
        self._context: list[str] = []
        self._query: list[_Part] = []
        self._body: list[_Part] = []
        in_path = {name.partition(":")[0] for name in re.findall(r"{(.+?)}", path)}
        hints = get_type_hints(endpoint, include_extras=True)
        for name, parameter in signature(endpoint).parameters.items():
            declared = hints[name]
            kind, marks = get_args(declared)[0] if get_origin(declared) is Annotated else declared, _marks(declared)
            if name in in_path and kind is str and not marks:
                self._path.append(name)
            elif any(isinstance(mark, Depends) and mark.dependency is context for mark in marks):
                self._context.append(name)
            elif _is_model(kind) and all(type(mark) is Query for mark in marks):
                wanted = self._query if marks else self._body
                wanted.append(_Part(name, "query" if marks else "body", TypeAdapter(kind), parameter.default))
            else:
                raise TypeError(f"'{name}' of {path} is more than a JsonRoute reads; use a plain APIRouter.")
        if len(self._query) > 1 or len(self._body) > 1:
            raise TypeError(f"{path} asks for two bodies or two queries; a JsonRoute reads one.")

    async def read(self, ctx: Context) -> dict[str, Any]:
        """The endpoint's arguments by name. Raises ``InvalidRequest``, ``ClientGone``."""
        scope = ctx.request.scope
        values = {name: scope["path_params"][name] for name in self._path}
        values.update(dict.fromkeys(self._context, ctx))
        errors: list[dict[str, Any]] = []
        for query in self._query:
            query.read(_query(scope), values, errors)
        for body in self._body:
            sent = await _sent(ctx.request)
            if sent is not None:
                body.read(sent, values, errors)
            elif body.default is Parameter.empty:
                errors += [{"type": "missing", "loc": ("body",), "msg": "Field required", "input": None}]
            else:
                values[body.name] = body.default
        if errors:
            raise fault(errors)
        return values


@dataclass(frozen=True, slots=True)
class _Part:
    """The body, or the query parameters together."""

    name: str
    place: str
    adapter: TypeAdapter[Any]
    default: Any

    def read(self, sent: Any, values: dict[str, Any], errors: list[dict[str, Any]]) -> None:
        """Put the model into ``values``, or what is wrong with it into ``errors``."""
        try:
            values[self.name] = self.adapter.validate_python(sent)
        except ValidationError as exc:
            errors += [{**one, "loc": (self.place, *one["loc"])} for one in exc.errors(include_url=False)]


def _marks(declared: Any) -> tuple[Any, ...]:
    return get_args(declared)[1:] if get_origin(declared) is Annotated else ()


def _is_model(kind: Any) -> bool:
    """Whether it is a pydantic model, or none of it."""
    models = [one for one in get_args(kind) or (kind,) if one is not NoneType]
    return all(isclass(one) and issubclass(one, BaseModel) for one in models)


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
