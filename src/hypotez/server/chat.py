"""POST /v1/chat/completions over any backend, plain and streamed."""

import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from starlette.responses import Response, StreamingResponse

from hypotez.errors import HypotezError, ServerError
from hypotez.server.answers import answer, served_by
from hypotez.server.context import Ctx
from hypotez.server.disconnect import while_connected
from hypotez.server.reading import json_router
from hypotez.wire.chat_requests import CreateChatCompletion
from hypotez.wire.completions import Gathered
from hypotez.wire.ids import new_id
from hypotez.wire.sse import DONE, event, event_text, to_text
from hypotez.worker.routing import Route

Json = dict[str, Any]

log = logging.getLogger(__name__)
router = json_router()


@router.post("/chat/completions")
async def create(body: CreateChatCompletion, ctx: Ctx) -> Response:
    """Answer with whatever serves ``model``; the header ``x-hypotez-model`` names it."""
    route = await ctx.services.router.route(body.model, ctx.project)
    # the backend gets what the client sent, not what our model of it would say again
    sent: Json = {**await ctx.request.json(), "model": route.model}
    head: Json = {"id": new_id("chatcmpl"), "object": "", "created": int(time.time()), "model": route.model}
    if body.stream:
        return await _streamed(route, sent, head, ctx)
    return await while_connected(ctx.request, _plain(route, sent, head))


async def _plain(route: Route, sent: Json, head: Json) -> Response:
    gathered = Gathered()
    async with aclosing(route.backend.chat(sent)) as chunks:
        async for chunk in chunks:
            gathered.add(chunk)
    return answer(gathered.completion(head), headers=served_by(route.model))


async def _streamed(route: Route, sent: Json, head: Json, ctx: Ctx) -> Response:
    chunks = route.backend.chat(sent)
    try:
        # errors before the first chunk still get their own status
        first = await while_connected(ctx.request, chunks.__anext__())
    except StopAsyncIteration as exc:
        raise ServerError(f"The backend of model {route.model!r} ended without an answer.") from exc
    except BaseException:
        await chunks.aclose()
        raise
    asked = bool((sent.get("stream_options") or {}).get("include_usage"))
    lines = _lines(first, chunks, {**head, "object": "chat.completion.chunk"}, asked)
    headers = {"cache-control": "no-cache", "x-accel-buffering": "no", **served_by(route.model)}
    return StreamingResponse(lines, headers=headers, media_type="text/event-stream")


async def _lines(first: Json, chunks: AsyncGenerator[Json], head: Json, usage: bool) -> AsyncIterator[bytes]:
    base = {**head, "usage": None} if usage else head
    opened = to_text(base)[:-1]

    def line(chunk: Json) -> bytes:
        if len(chunk) > 1 or "choices" not in chunk:
            return event({**base, **chunk})
        # our own engine's: only the choices are new, and each is an event
        return b"".join(event_text(f'{opened},"choices":[{to_text(choice)}]}}') for choice in chunk["choices"])

    async with aclosing(chunks):
        try:
            yield line(first)
            async for chunk in chunks:
                if usage or chunk.get("choices"):
                    yield line(chunk)
        except HypotezError as error:
            log.warning("a stream broke off: %s", error)
            yield event(error.envelope())
            return
        except Exception:
            log.exception("a stream broke off")
            yield event(ServerError("The server had an error while streaming. Its log has the traceback.").envelope())
            return
    yield DONE
