"""Steps in which every sequence writes one token, recorded once for a number of rows and played back from then on.

On a GPU a small model's step is the time of launching it: some twenty kernels a layer, each from Python. A graph of
them is one launch. It works on fixed memory and shapes, so a step is filled up to a number of rows and of blocks, all
it needs to know lies in one buffer, and what it gives in another. Rows that fill up write to a block of their own.
Knows no CUDA: what records is a ``Recorder`` (``cuda.py``; the tests' plays tapes on a processor).
"""

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from hypotez.engine.gathered import writers
from hypotez.engine.kv import Cache, Span
from hypotez.nn.decoder import Decoder
from hypotez.nn.rows import Rows

FEW = 256  # tokens: sequences up to this length share their graphs

log = logging.getLogger(__name__)


class Recorder(Protocol):
    """Keeps what a function does on the device."""

    def record(self, run: Callable[[], Tensor]) -> tuple[Tensor, Callable[[], None]]:
        """Where ``run``'s result lies, and what does the same work again on the same memory. It may run several times.

        Raises ``RuntimeError`` where that cannot be recorded.
        """
        ...


class Graphs:
    """Of one decoder over one cache, whose last block nobody else uses."""

    def __init__(self, decoder: Decoder, cache: Cache, recorder: Recorder) -> None:
        self._decoder, self._cache = decoder, cache
        self._recorder: Recorder | None = recorder
        self._graphs: dict[tuple[int, int, bool], _Graph] = {}
        self._linears = decoder.linears
        self._loras = [linear.lora for linear in self._linears]

    def logits(self, tokens: Sequence[int], spans: Sequence[Span], slots: Sequence[int]) -> Tensor | None:
        """(N, V) for one token of each span, until the next call; None where it cannot be recorded on this machine."""
        if self._recorder is None:
            return None
        adapted = max(slots) >= 0
        if adapted:
            self._notice_grown_slots()
        few = -(-FEW // self._cache.size)
        width = max(few, _power(-(-max(span.length for span in spans) // self._cache.size)))
        key = _power(len(spans)), width, adapted
        if key not in self._graphs:
            self._graphs[key] = _Graph(self._decoder, self._cache, *key)
        graph = self._graphs[key]
        graph.fill(tokens, spans, slots)
        try:
            return graph.play(self._recorder)[: len(spans)]
        except RuntimeError as exc:
            log.warning("Steps cannot be recorded on this machine and take longer for it: %s", exc)
            self._recorder = None
            self._graphs.clear()
            return None

    def _notice_grown_slots(self) -> None:
        """Matrices of adapters that had to make room for more lie elsewhere: what reads the old ones goes."""
        loras = [linear.lora for linear in self._linears]
        if loras != self._loras:
            self._loras = loras
            self._graphs = {key: graph for key, graph in self._graphs.items() if not key[2]}


class _Graph:
    """``rows`` rows of up to ``width`` blocks each, with adapters or without."""

    def __init__(self, decoder: Decoder, cache: Cache, rows: int, width: int, adapted: bool) -> None:
        self._decoder, self._cache, self._rows, self._adapted = decoder, cache, rows, adapted
        device = cache.keys[0].device
        # tokens, positions and slots of all rows, then their blocks
        self._host = torch.empty(rows * (3 + width), dtype=torch.int64, pin_memory=device.type == "cuda")
        self._inputs = torch.empty_like(self._host, device=device)
        self._out: Tensor | None = None
        self._again: Callable[[], None] | None = None

    def fill(self, tokens: Sequence[int], spans: Sequence[Span], slots: Sequence[int]) -> None:
        """What the next ``play`` works on."""
        numbers, blocks = (t.numpy() for t in self._split(self._host))
        numbers[:2], numbers[2], blocks[:] = 0, -1, self._cache.blocks - 1
        numbers[:, : len(spans)] = tokens, [span.start for span in spans], slots
        for row, span in zip(blocks, spans, strict=False):
            row[: len(span.blocks)] = span.blocks
        self._inputs.copy_(self._host, non_blocking=True)

    def play(self, recorder: Recorder) -> Tensor:
        """(rows, V)."""
        if self._out is None or self._again is None:
            self._out, self._again = recorder.record(self.run)
        self._again()
        return self._out

    def run(self) -> Tensor:
        """Tensors only, from ``fill``'s buffer: the host is asked nothing."""
        numbers, blocks = self._split(self._inputs)
        tokens, positions, slots = numbers.unbind()
        attend = writers(self._cache, blocks, positions)
        hidden = self._decoder(tokens, positions, attend, Rows.unread(slots) if self._adapted else None)
        return self._decoder.logits(hidden)

    def _split(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """(3, rows) and (rows, width)."""
        numbers, blocks = inputs.tensor_split((3 * self._rows,))
        return numbers.view(3, -1), blocks.view(self._rows, -1)


def _power(number: int) -> int:
    """The next power of two."""
    return 1 << (number - 1).bit_length()
