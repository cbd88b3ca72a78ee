"""POST /v1/embeddings: local vectors, or an upstream's answer as it is."""

import base64
import math
import struct
from typing import Annotated, Any, Literal

from openai.types import CreateEmbeddingResponse
from pydantic import Field
from starlette.responses import Response

from hypotez.errors import InvalidRequest
from hypotez.server.answers import answer, served_by
from hypotez.server.context import Ctx
from hypotez.server.disconnect import while_connected
from hypotez.server.reading import json_router
from hypotez.wire.bodies import Body, ModelName
from hypotez.wire.door import shape
from hypotez.worker.routing import Forwarding

Json = dict[str, Any]

Texts = Annotated[list[str], Field(min_length=1, max_length=2048)]
Tokens = Annotated[list[int], Field(min_length=1, max_length=2048)]
ManyTokens = Annotated[list[Tokens], Field(min_length=1, max_length=2048)]

router = json_router()


class CreateEmbedding(Body):
    model: ModelName
    input: str | Texts | Tokens | ManyTokens
    dimensions: Annotated[int, Field(ge=1)] | None = None
    encoding_format: Literal["float", "base64"] | None = None
    user: str | None = None


@router.post("/embeddings")
async def create(body: CreateEmbedding, ctx: Ctx) -> Response:
    """One vector per text, of unit norm. Token ids are for upstreams: they are another vocabulary's."""
    route = await ctx.services.router.route(body.model, ctx.project)
    headers = served_by(route.model)
    if isinstance(route.backend, Forwarding):
        sent = {**await ctx.request.json(), "model": route.model}
        return answer(await while_connected(ctx.request, route.backend.forward("embeddings", sent)), headers=headers)
    texts = [body.input] if isinstance(body.input, str) else body.input
    strings = [text for text in texts if isinstance(text, str)]
    if len(strings) != len(texts):
        raise InvalidRequest(f"Model '{route.model}' embeds texts, not token ids: send strings.", param="input")
    if not all(strings):
        raise InvalidRequest("Invalid 'input': input cannot be an empty string.", param="input")
    vectors = await while_connected(ctx.request, route.backend.embed(route.model, strings))
    data = [
        {"object": "embedding", "index": index, "embedding": _encoded(_cut(vector, body.dimensions), body)}
        for index, vector in enumerate(vectors)
    ]
    # words, not tokens: a backend embeds without telling how it cut the text, and a bill nobody gets needs no more
    spent = sum(len(text.split()) for text in strings)
    usage = {"prompt_tokens": spent, "total_tokens": spent}
    if body.encoding_format == "base64":  # the SDK's type knows only lists
        return answer({"object": "list", "data": data, "model": route.model, "usage": usage}, headers=headers)
    return answer(
        shape(CreateEmbeddingResponse, object="list", data=data, model=route.model, usage=usage), headers=headers
    )


def _cut(vector: list[float], dimensions: int | None) -> list[float]:
    """The first ``dimensions`` numbers, made one long again."""
    if dimensions is None or dimensions >= len(vector):
        return vector
    head = vector[:dimensions]
    length = math.sqrt(sum(x * x for x in head)) or 1.0
    return [x / length for x in head]


def _encoded(vector: list[float], body: CreateEmbedding) -> list[float] | str:
    """base64 is little-endian float32, as the SDK asks for and reads by default."""
    if body.encoding_format != "base64":
        return vector
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")
