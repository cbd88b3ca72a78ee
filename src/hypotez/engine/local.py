"""The ``Backend`` that answers on this machine: text on one side, the engine's thread on the other.

A base model is loaded when it is first asked for, an adapter when its name is. Knows no SQL: where a model lies is
told by ``sources``, which is asked on every request, so a model trained a second ago is there and a deleted one is not.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypotez import spans
from hypotez.backend import Card, Json, Source
from hypotez.engine.engine import Engine, EngineOptions
from hypotez.engine.guide import Grammars
from hypotez.engine.mailbox import Mailbox
from hypotez.engine.metrics import Histogram
from hypotez.engine.precision import choose_device, choose_dtype
from hypotez.engine.reply import Reply
from hypotez.engine.request import read
from hypotez.engine.runner import Job, Runner
from hypotez.engine.sequence import Sequence as TokenSequence
from hypotez.engine.traces import trace
from hypotez.errors import ModelNotFound
from hypotez.nn.embedding import share_embedding
from hypotez.nn.load import find, load
from hypotez.nn.memory import keep_few
from hypotez.nn.packed import Weights, pack
from hypotez.text import Chat

log = logging.getLogger(__name__)

_FEW, _FEW_CHARACTERS = 16, 1000  # messages, and their text, that are encoded in some 100 microseconds


@dataclass(frozen=True, slots=True)
class LocalOptions:
    """``threads`` None leaves torch's own choice."""

    dtype: str = "auto"
    device: str = "auto"
    threads: int | None = None
    weights: str = "full"  # a ``Weights``
    engine: EngineOptions = field(default_factory=EngineOptions)


@dataclass(frozen=True, slots=True)
class Base:
    """A base model in memory."""

    chat: Chat
    grammars: Grammars
    runner: Runner

    @property
    def context(self) -> int:
        return self.runner.engine.context


class LocalBackend:
    """``sources`` finds a model by name; ``listed`` gives the cards of all there are."""

    def __init__(
        self,
        sources: Callable[[str], Source | None],
        cards: Callable[[], Sequence[Card]],
        options: LocalOptions | None = None,
    ) -> None:
        self._sources = sources
        self._listed = cards
        self._options = options or LocalOptions()
        self._bases: dict[str, Base] = {}
        self._loading: dict[str, asyncio.Task[Base]] = {}
        self._closed = False

    async def cards(self) -> Sequence[Card]:
        return self._listed()

    async def warm(self, name: str) -> None:
        """Load the base of model ``name`` now rather than at its first request."""
        await self._base(self._source(name))

    async def chat(self, body: Json) -> AsyncGenerator[Json]:
        source, inside = self._source(body["model"]), spans.here()
        base = await self._base(source)
        reading = body, base, source, Mailbox.here()
        # Off the event loop: a grammar may take long to compile, a long prompt long to encode.
        job = _job(*reading) if _short(body) else await asyncio.to_thread(_job, *reading)
        base.runner.submit(job)
        try:
            started = False
            while choices := await job.pieces.take():
                # Not before the engine has taken the request: until then it may still be refused.
                starts = [] if started else [reply.start() for reply in job.replies]
                started = True
                yield {"choices": [*starts, *choices]}
            yield {"choices": [], "usage": _usage(job)}
        finally:
            if job.open:
                base.runner.cancel(job)
            if inside is not None:
                trace(body, job, inside)

    async def embed(self, model: str, texts: Sequence[str]) -> list[list[float]]:
        base = await self._base(self._source(model))
        ids = await asyncio.to_thread(_encoded, base, texts)  # off the event loop, as in ``chat``
        vectors: list[list[float]] = (await base.runner.call(lambda: base.runner.engine.embed(ids))).tolist()
        return vectors

    def metrics(self) -> dict[str, dict[str, float | Histogram]]:
        """Numbers of every base in memory, by its name."""
        return {_shown(name): base.runner.engine.metrics.snapshot() for name, base in self._bases.items()}

    def adapters(self) -> dict[str, list[str]]:
        """Names of the tuned models in memory, by their base's."""
        return {
            _shown(name): [owner.split(" ", 1)[0] for owner in base.runner.engine.adapters.owners]
            for name, base in self._bases.items()
        }

    async def aclose(self) -> None:
        self._closed = True
        for task in self._loading.values():
            task.cancel()
        bases, self._bases = self._bases, {}
        for base in bases.values():
            await asyncio.to_thread(base.runner.close)

    def _source(self, name: str) -> Source:
        source = self._sources(name)
        if source is None:
            raise ModelNotFound(name)
        return source

    async def _base(self, source: Source) -> Base:
        """Loaded once, however many ask at the same time."""
        if (base := self._bases.get(source.base)) is not None:
            return base
        task = self._loading.get(source.base)
        if task is None:
            task = asyncio.create_task(self._load(source.base))
            self._loading[source.base] = task
            task.add_done_callback(lambda _: self._loading.pop(source.base, None))
        return await asyncio.shield(task)

    async def _load(self, name: str) -> Base:
        started = time.perf_counter()
        base = await asyncio.to_thread(open_base, name, self._options)
        self._bases[name] = base
        log.info("Loaded %s in %.1f s.", name, time.perf_counter() - started)
        return base


def open_base(name: str, options: LocalOptions) -> Base:
    """Read a base model (a folder, or a repository on Hugging Face) and start its thread.

    It is read in a thread that ends: OpenMP keeps helpers for every thread that ever computed, and with more of them
    than cores it lets none of them wait awake, which made every step of the engine take twice as long.
    """
    with ThreadPoolExecutor(1, "loading") as loading:
        return loading.submit(_open, name, options).result()


def _open(name: str, options: LocalOptions) -> Base:
    import torch

    keep_few()
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    device = choose_device(options.device)
    folder = find(name)
    chat = Chat.open(folder)
    decoder = load(folder, choose_dtype(options.dtype, device), device)
    pack(decoder, Weights(options.weights))
    share_embedding(decoder)
    grammars = Grammars(chat, decoder.config.vocab_size)
    return Base(chat, grammars, Runner(Engine(decoder, options.engine, grammars), folder.name))


def _shown(base: str) -> str:
    """A folder's own name, or the repository's."""
    return Path(base).name if Path(base).is_dir() else base


def _context(base: Base, card: Card) -> int:
    return min(base.context, card.context_window or base.context)


def _short(body: Json) -> bool:
    """Whether the request is read in less time than another thread needs to wake up."""
    messages = body.get("messages")
    if any(body.get(name) for name in ("tools", "functions", "response_format")) or not isinstance(messages, list):
        return False
    texts = [message.get("content") if isinstance(message, dict) else None for message in messages[:_FEW]]
    words = [text for text in texts if isinstance(text, str)]
    return len(words) == len(messages) and sum(map(len, words)) <= _FEW_CHARACTERS


def _job(body: Json, base: Base, source: Source, mailbox: Mailbox) -> Job:
    request = read(body, base.chat, base.grammars, _context(base, source.card))
    owner = _owner(source)
    sequences = [
        TokenSequence(request.prompt, wish, eos_ids=base.chat.eos_ids, owner=owner, guide=request.guide(base.grammars))
        for wish in request.choices
    ]
    replies = [Reply(base.chat, i, request.stops, request.tools, request.called) for i in range(len(sequences))]
    return Job(sequences, replies, mailbox, source.adapter)


def _encoded(base: Base, texts: Sequence[str]) -> list[list[int]]:
    """The beginning of each text, as much of it as the model reads at once. What lies far beyond is not looked at."""
    most = base.context * base.chat.token_bytes.longest
    return [base.chat.encode_text(text[:most])[: base.context] or [base.chat.pad_id] for text in texts]


def _owner(source: Source) -> str:
    """The tuned model's name, and which training of it: the same one trained anew is another owner."""
    if source.adapter is None:
        return ""
    weights = source.adapter / "adapter_model.safetensors"
    return f"{source.card.id} {source.adapter}@{weights.stat().st_mtime_ns if weights.exists() else 0}"


def _usage(job: Job) -> dict[str, Any]:
    prompt = job.sequences[0].prompt_length
    said = sum(len(s.tokens) - s.prompt_length for s in job.sequences)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": said,
        "total_tokens": prompt + said,
        "prompt_tokens_details": {"cached_tokens": job.sequences[0].cached},
    }
