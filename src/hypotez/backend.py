"""The one Protocol between the web half and whatever produces text.

Both sides speak the wire's own shapes, as plain JSON dictionaries: a request is the body of
``POST /v1/chat/completions`` (only the fields the client set; ``model`` is the backend's own name,
already resolved), an answer is a stream of ``chat.completion.chunk`` bodies. That way an upstream's
answer passes through with nothing lost, and the embedded engine has one output format, not two.

Implemented by ``engine/local.py`` (torch in a thread), ``upstream.py`` (HTTP) and ``testing.py``
(scripted). Knows no HTTP, no SQL and no torch.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Card:
    """One model a backend can serve."""

    id: str
    owned_by: str = "hypotez"
    created: int = 0  # unix seconds
    context_window: int | None = None  # tokens, prompt and reply together
    sees_images: bool = False
    trainable: bool = False
    extra: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a local model's weights are."""

    base: str  # a folder, or a repository on Hugging Face
    adapter: Path | None  # a PEFT folder, for a tuned model
    card: Card


class Backend(Protocol):
    """Streams completions. Every method may be called from many tasks at once on one event loop."""

    async def cards(self) -> Sequence[Card]:
        """The models this backend serves now, tuned ones included."""
        ...

    def chat(self, body: Json) -> AsyncGenerator[Json]:
        """Stream the answer to a chat request as ``chat.completion.chunk`` dictionaries.

        Each chunk has ``choices`` (``index``, ``delta``, ``finish_reason``, ``logprobs``); the first of
        a choice carries ``delta.role``. Pieces that are there together may come in one
        chunk, also of one choice, in their order. The last chunk has empty ``choices`` and ``usage``; it is
        always sent, whatever ``stream_options`` says (the server drops it when it was not asked for). ``id``,
        ``created`` and ``model`` are set by the server. Closing the iterator cancels the work at once.

        Raises the ``HypotezError`` that fits before the first chunk where the request is at fault.
        """
        ...

    async def embed(self, model: str, texts: Sequence[str]) -> list[list[float]]:
        """One vector per text, all of one length, each of unit norm."""
        ...

    async def aclose(self) -> None:
        """Free threads, sockets and memory. Safe to call twice."""
        ...
