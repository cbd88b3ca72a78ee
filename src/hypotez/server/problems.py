"""Errors become HTTP here and nowhere else: OpenAI's envelope, status and headers."""

import logging
import math
from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from hypotez.errors import (
    HypotezError,
    InvalidRequest,
    MissingExtra,
    NotFound,
    RateLimited,
    ServerError,
    SettingsError,
    StorageError,
    UpstreamError,
)
from hypotez.server.answers import answer
from hypotez.wire.faults import BAD_JSON, fault

# what is wrong is not in this program, and the sentence says where: a traceback would say less
KNOWN = (UpstreamError, StorageError, SettingsError, MissingExtra)

log = logging.getLogger(__name__)


class TooLarge(InvalidRequest):
    """413: the request is larger than this server takes."""

    status = 413


def problem(error: HypotezError) -> Response:
    """The response that tells of ``error``."""
    headers = dict(getattr(error, "headers", {}))
    if isinstance(error, RateLimited) and error.retry_after is not None:
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after)))
        headers["retry-after-ms"] = str(max(1, round(error.retry_after * 1000)))
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    if error.status >= 500:
        known = isinstance(error, KNOWN)
        log.log(logging.WARNING if known else logging.ERROR, "%s", error, exc_info=None if known else error)
    return answer(error.envelope(), error.status, headers)


def unexpected(error: Exception) -> Response:
    """A fault of ours: the traceback goes to the log, the client learns that it was not its own."""
    log.error("unexpected error", exc_info=error)
    text = "The server had an error while processing your request. Sorry about that! Its log has the traceback."
    return answer(ServerError(text).envelope(), 500)


def install(app: FastAPI) -> None:
    """Answer every error of ``app`` in OpenAI's envelope."""
    handlers: dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
        HypotezError: _domain,
        RequestValidationError: _validation,
        HTTPException: _http,
        Exception: _unexpected,  # else Starlette answers it in plain text before ``Edge`` hears of it
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


async def _domain(request: Request, error: Exception) -> Response:
    assert isinstance(error, HypotezError)
    return problem(error)


async def _validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return problem(fault(error.errors()))


async def _unexpected(request: Request, error: Exception) -> Response:
    return unexpected(error)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 400 and request.headers.get("content-type", "").startswith("multipart/"):
        return problem(InvalidRequest(f"We could not read the multipart form of your request: {error.detail}"))
    return refused(error, request.method, request.url.path)


def refused(error: HTTPException, method: str, path: str) -> Response:
    """The response to a request that Starlette or FastAPI refuses."""
    if error.status_code == 404:
        cure = "" if path.startswith("/v1/") else ". The base URL of this server ends in /v1."
        return problem(NotFound(f"Invalid URL ({method} {path}){cure}"))
    if error.status_code == 405:
        strange = InvalidRequest(f"Not allowed to {method} on {path} .", code="method_not_supported")
        strange.status = 405
        return problem(strange)
    if error.status_code == 413:
        return problem(TooLarge(error.detail))
    return problem(InvalidRequest(BAD_JSON if error.status_code == 400 else error.detail))
