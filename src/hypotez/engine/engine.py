"""One base model at work: sequences in, tokens out, one step at a time. No threads, no text, no wire.

engine = Engine(decoder, EngineOptions(...))
engine.add(Sequence(ids, Sampling(max_tokens=8)))
while engine.busy:
    for said in engine.step():
        print(said.token)
"""

import logging
import time
from collections.abc import Sequence as Listing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hypotez.engine.adapters import Adapters
from hypotez.engine.blocks import Blocks
from hypotez.engine.cuda import CudaRecorder, flash
from hypotez.engine.gathered import to_device
from hypotez.engine.graphs import Graphs, Recorder
from hypotez.engine.guide import Grammars
from hypotez.engine.kv import Cache, Span, Varlen
from hypotez.engine.metrics import Metrics
from hypotez.engine.paged import Paged
from hypotez.engine.sampler import choose
from hypotez.engine.scheduler import Part, Scheduler
from hypotez.engine.sequence import Finish, Sequence, TokenLogprob
from hypotez.nn.decoder import Decoder

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """``cache_tokens`` is the size of the KV cache, all sequences together; ``prefill_tokens`` what one step reads.

    ``cuda_graphs``, on a GPU, plays steps that only write from recordings (``graphs.py``).
    """

    max_batch: int = 32
    max_queue: int = 256
    cache_tokens: int = 65536
    block_size: int = 16
    prefill_tokens: int = 256
    prefix_cache: bool = True
    adapter_slots: int = 64
    cuda_graphs: bool = True


@dataclass(frozen=True, slots=True)
class Said:
    """One token of one sequence; ``sequence.finish`` tells whether it was the last."""

    sequence: Sequence
    token: int
    logprob: TokenLogprob | None


class Engine:
    """``varlen`` and ``recorder`` are the GPU's, where there is one; given, they are used wherever torch attends."""

    def __init__(
        self,
        decoder: Decoder,
        options: EngineOptions,
        grammars: Grammars | None = None,
        *,
        varlen: Varlen | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self.decoder = decoder.eval().requires_grad_(False)
        self.options = options
        self.grammars = grammars
        config = decoder.config
        blocks = max(options.cache_tokens // options.block_size, 2)
        self.context = min(config.max_positions, blocks * options.block_size)
        varlen = varlen or flash(config, decoder.dtype, decoder.device)
        # One block more than is given away: rows that only fill up a recorded step write there.
        self.cache = Cache(config, blocks + 1, options.block_size, decoder.dtype, decoder.device, varlen)
        self.blocks = Blocks(blocks, options.block_size, options.prefix_cache)
        self.scheduler = Scheduler(self.blocks, options.max_batch, options.max_queue, options.prefill_tokens)
        self.adapters = Adapters(decoder, options.adapter_slots)
        self.metrics = Metrics(max_batch=options.max_batch, kv_blocks=blocks, adapter_slots=options.adapter_slots)
        self._device = decoder.device
        if recorder is None and options.cuda_graphs and self._device.type == "cuda":
            recorder = CudaRecorder(self._device)
        if self.cache.kernels is not None:
            recorder = None
        self._graphs = Graphs(decoder, self.cache, recorder) if recorder is not None else None

    @property
    def busy(self) -> bool:
        return bool(self.scheduler.waiting or self.scheduler.running)

    def add(self, sequence: Sequence, adapter: Path | None = None) -> None:
        """Queue a sequence. ``prompt + max_tokens`` must fit ``context``; ``adapter`` is a PEFT folder."""
        if adapter is not None:
            sequence.slot = self.adapters.hold(sequence.owner, adapter)
        try:
            self.scheduler.add(sequence, self.metrics.retry_after(len(self.scheduler.waiting), self.options.max_batch))
        except BaseException:
            self._let_go(sequence)
            raise
        self.metrics.requests += 1
        self.metrics.prompt_tokens += sequence.prompt_length

    def end(self, sequence: Sequence, finish: Finish | None = None) -> None:
        """Finished from outside (a stop string) or, without ``finish``, cancelled. Its blocks are free at once."""
        if finish is None:
            self.metrics.cancelled += 1
        else:
            sequence.finish = finish
        self._leave(sequence)
        self._gauge()

    @torch.inference_mode()
    def step(self) -> list[Said]:
        """Compute one step. Sequences that said their last token have left when it returns."""
        started = time.perf_counter()
        parts = self.scheduler.schedule()
        if not parts:
            return []
        for part in parts:
            if part.sequence.admitted_at is None:
                part.sequence.admitted_at = started
        # Writers of like length side by side: they attend together.
        parts.sort(key=lambda part: (part.count > 1, part.start))
        logits = self._logits(parts)
        self.scheduler.computed(parts)
        said = self._say(logits, parts)
        self.metrics.step(len(said), time.perf_counter() - started)
        self._gauge()
        return said

    def embed(self, texts: Listing[Listing[int]]) -> Tensor:
        """One vector of unit norm per text, (N, D): the mean of the last hidden states. Adapters take no part."""
        from hypotez.nn.attention import Packed

        config = self.decoder.config
        vectors = []
        with torch.inference_mode():
            for ids in texts:
                attend = Packed([len(ids)], config.windows, config.attention_softcap)
                tokens = torch.tensor(ids, device=self._device)
                hidden = self.decoder(tokens, attend.positions(self._device), attend)
                vectors.append(torch.nn.functional.normalize(hidden.float().mean(0), dim=0))
        return torch.stack(vectors)

    def _logits(self, parts: list[Part]) -> Tensor | None:
        """(R, V) of those parts' last tokens after which a token is chosen; None where there are none."""
        spans = [Span(p.start, p.count, p.sequence.blocks) for p in parts]
        tokens = [t for p in parts for t in p.sequence.tokens[p.start : p.start + p.count]]
        positions = [i for p in parts for i in range(p.start, p.start + p.count)]
        slots = [p.sequence.slot for p in parts for _ in range(p.count)]
        ends, row = [], -1
        for part in parts:
            row += part.count
            if part.last:
                ends.append(row)
        if self._graphs is not None and len(ends) == len(tokens):
            recorded = self._graphs.logits(tokens, spans, slots)
            if recorded is not None:
                return recorded
        ids, at, slot, due = to_device(self._device, *(np.array(n, np.int64) for n in (tokens, positions, slots, ends)))
        hidden = self.decoder(ids, at, Paged(self.cache, spans), slot if max(slots) >= 0 else None)
        if not ends:
            return None
        return self.decoder.logits(hidden if len(ends) == len(tokens) else hidden[due])

    def _say(self, logits: Tensor | None, parts: list[Part]) -> list[Said]:
        """Choose a token for each sequence that is due, and let those go that are finished."""
        if logits is None:
            return []
        due = [part.sequence for part in parts if part.last]
        guides = [s.guide for s in due]
        allowed = self.grammars.allowed(guides) if self.grammars is not None else None
        chosen = choose(logits, due, allowed)
        said = []
        for sequence, (token, logprob) in zip(due, chosen, strict=True):
            sequence.append(token)
            if sequence.guide is not None:
                sequence.guide.accept(token)
                if sequence.guide.done and sequence.finish is None:
                    sequence.finish = Finish.STOP
            said.append(Said(sequence, token, logprob))
            if sequence.finish is not None:
                self._leave(sequence)
        return said

    def _leave(self, sequence: Sequence) -> None:
        self.metrics.cached_tokens += sequence.cached
        self.scheduler.remove(sequence)
        self._let_go(sequence)

    def _let_go(self, sequence: Sequence) -> None:
        if sequence.slot >= 0:
            self.adapters.release(sequence.owner)

    def _gauge(self) -> None:
        m = self.metrics
        m.waiting, m.running = len(self.scheduler.waiting), len(self.scheduler.running)
        m.kv_blocks_used = self.blocks.count - self.blocks.free
        m.adapters, m.adapter_loads = len(self.adapters), self.adapters.loads
