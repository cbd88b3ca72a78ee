"""The fakes we ship: a backend that answers by script, for tests of programs that talk to a hypotez server.

    backend = ScriptedBackend(["Paris.", ToolCall("weather", {"city": "Oslo"}), Fail(RateLimited("slow down"))])
    backend.requests[0]["messages"]  # what it was asked

Deterministic: a reply is cut into words, a token is a word, and an exhausted script echoes the last user message.
"""

import asyncio
import hashlib
import json
import math
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hypotez.backend import Card
from hypotez.errors import HypotezError

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A reply that calls one function."""

    name: str
    arguments: Json = field(default_factory=dict)
    id: str = ""


@dataclass(frozen=True, slots=True)
class ToolCalls:
    """A reply that calls several functions at once."""

    calls: Sequence[ToolCall]
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Fail:
    """A reply that raises: before the first chunk, or after ``after`` words of ``text``."""

    error: HypotezError
    text: str = ""
    after: int = 0


@dataclass(frozen=True, slots=True)
class Slow:
    """A reply of words with ``delay`` seconds before each."""

    text: str
    delay: float = 0.05


Reply = str | ToolCall | ToolCalls | Fail | Slow


class ScriptedBackend:
    """A ``Backend`` whose replies are given. ``script`` may be a function of the request instead of a list."""

    def __init__(
        self,
        script: Iterable[Reply] | Callable[[Json], Reply] = (),
        *,
        models: Sequence[str] = ("scripted",),
        delay: float = 0.0,
        dimensions: int = 16,
    ) -> None:
        self._replies = script if callable(script) else iter(list(script))
        self._models, self._delay, self._dimensions = models, delay, dimensions
        self.requests: list[Json] = []
        self.cancelled = 0  # answers whose iterator was closed before the end
        self.open = 0  # answers being given now
        self.closed = False

    async def cards(self) -> Sequence[Card]:
        return [Card(model, context_window=8192, trainable=True) for model in self._models]

    async def chat(self, body: Json) -> AsyncGenerator[Json]:
        self.requests.append(json.loads(json.dumps(body)))
        reply = self._next(body)
        self.open += 1
        finished = False
        try:
            counted = 0
            for index in range(body.get("n") or 1):
                async for chunk in self._choice(reply, index, body):
                    counted += 1
                    yield chunk
            prompt = sum(len(str(message.get("content") or "").split()) for message in body.get("messages", []))
            usage = {"prompt_tokens": prompt, "completion_tokens": counted, "total_tokens": prompt + counted}
            finished = True
            yield {"choices": [], "usage": usage}
        finally:
            self.open -= 1
            self.cancelled += not finished

    async def embed(self, model: str, texts: Sequence[str]) -> list[list[float]]:
        """A unit vector per text, from its hash: equal texts, equal vectors."""
        vectors = []
        for text in texts:
            raw = [byte - 127.5 for byte in hashlib.shake_128(text.encode()).digest(self._dimensions)]
            length = math.sqrt(sum(x * x for x in raw))
            vectors.append([x / length for x in raw])
        return vectors

    async def aclose(self) -> None:
        self.closed = True

    def _next(self, body: Json) -> Reply:
        if callable(self._replies):
            return self._replies(body)
        said = [message.get("content") for message in body.get("messages", []) if message.get("role") == "user"]
        echo = said[-1] if said and isinstance(said[-1], str) else "ok"
        return next(self._replies, f"echo: {echo}")

    async def _choice(self, reply: Reply, index: int, body: Json) -> AsyncGenerator[Json]:
        if isinstance(reply, Fail) and not reply.after:
            raise reply.error
        yield _chunk(index, {"role": "assistant", "content": "", "refusal": None})
        if isinstance(reply, ToolCall):
            reply = ToolCalls([reply])
        if isinstance(reply, ToolCalls):
            async for chunk in self._calls(reply, index):
                yield chunk
            return
        text = reply if isinstance(reply, str) else reply.text
        delay = reply.delay if isinstance(reply, Slow) else self._delay
        limit = body.get("max_completion_tokens", body.get("max_tokens"))
        for number, word in enumerate(_words(text)):
            if isinstance(reply, Fail) and number >= reply.after:
                raise reply.error
            if limit is not None and number >= limit:
                yield _chunk(index, {}, "length")
                return
            await asyncio.sleep(delay)
            yield _chunk(index, {"content": word})
        yield _chunk(index, {}, "stop")

    async def _calls(self, reply: ToolCalls, index: int) -> AsyncGenerator[Json]:
        for word in _words(reply.text or ""):
            yield _chunk(index, {"content": word})
        for number, call in enumerate(reply.calls):
            await asyncio.sleep(self._delay)
            id = call.id or f"call_{hashlib.sha256(f'{number}{call}'.encode()).hexdigest()[:24]}"
            begun = {"index": number, "id": id, "type": "function", "function": {"name": call.name, "arguments": ""}}
            yield _chunk(index, {"tool_calls": [begun]})
            arguments = {"index": number, "function": {"arguments": json.dumps(call.arguments)}}
            yield _chunk(index, {"tool_calls": [arguments]})
        yield _chunk(index, {}, "tool_calls")


def _chunk(index: int, delta: Json, finish_reason: str | None = None) -> Json:
    return {"choices": [{"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}]}


def _words(text: str) -> list[str]:
    """The text in pieces that join to it again, cut after each space."""
    pieces = text.split(" ")
    return [piece + " " for piece in pieces[:-1]] + pieces[-1:] if text else []
