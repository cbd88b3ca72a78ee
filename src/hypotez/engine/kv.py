"""Keys and values in blocks, and where those of a step lie. ``paged.py`` attends over them.

On a processor the compiled loops of ``nn.kernels`` read the blocks where they lie; elsewhere torch gathers them.
``plain`` is attention written out token by token, for tests.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hypotez.nn.config import DecoderConfig
from hypotez.nn.fused import installed
from hypotez.nn.kept import Kept
from hypotez.nn.memory import zeros

Ints = NDArray[np.int32]
Varlen = Callable[..., Tensor]  # with the arguments of ``torch.nn.attention.varlen.varlen_attn``


class Cache:
    """Room for ``blocks`` blocks of ``size`` tokens in every layer. ``varlen`` attends, where there is one."""

    def __init__(
        self,
        config: DecoderConfig,
        blocks: int,
        size: int,
        dtype: torch.dtype,
        device: torch.device | str = "cpu",
        varlen: Varlen | None = None,
    ) -> None:
        self.config, self.blocks, self.size, self.varlen = config, blocks, size, varlen
        # Heads first: what is gathered lies as the products want it.
        self._shape = blocks, config.kv_heads, size, config.head_dim
        # Zeros, because what is masked out still must be finite; the pages are the system's until written to.
        self._both = [zeros((2, *self._shape), dtype, torch.device(device)) for _ in range(config.layers)]
        self.keys, self.values = [both[0] for both in self._both], [both[1] for both in self._both]
        kernels = installed("kernels")
        # The compiled loops, where they can do the work
        self.kernels = kernels if kernels is not None and _fits(kernels, self.keys[0]) else None
        self._paired = self.kernels is not None and self.kernels.pairs(self.keys[0])
        compiled = zip(self.keys, self.values, strict=True) if self.kernels is not None else ()
        self._addresses = np.array([(keys.data_ptr(), values.data_ptr()) for keys, values in compiled], np.int64)
        self._gathered = torch.empty(0, dtype=dtype, device=device)

    @staticmethod
    def token_bytes(config: DecoderConfig, dtype: torch.dtype) -> int:
        """What one token takes, all layers together."""
        return 2 * config.layers * config.kv_heads * config.head_dim * dtype.itemsize

    def kept(self, spans: "Sequence[Span]") -> Kept:
        """Where the compiled loops find what these spans see."""
        work = sum((s.start + s.length + 1) * s.count // 2 for s in spans)
        return Kept(self._addresses, self._shape, places(spans, self.size), self._paired, work)

    def rows(self, layer: int) -> tuple[Tensor, Tensor]:
        """Keys and values, (blocks, KV, size, Dh), copied where they are kept in another order. For tests."""
        keys, values = self.keys[layer], self.values[layer]
        if not self._paired:
            return keys, values
        blocks, kv, size, d = self._shape
        keys = keys.view(blocks, kv, d // 2, size, 2).permute(0, 1, 3, 2, 4)
        values = values.view(blocks, kv, size // 2, d, 2).permute(0, 1, 2, 4, 3)
        return keys.reshape(self._shape), values.reshape(self._shape)

    def gather(self, layer: int, table: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of ``table`` (2 * N,) one after another: keys and values, each (N * size, Dh).

        A row is block * KV + head, in the table's second half ``blocks`` * KV more.
        """
        rows = self._both[layer].view(-1, self.size * self.config.head_dim)
        if rows.device.type != "cpu":
            found = rows.index_select(0, table)
        else:
            if self._gathered.numel() < len(table) * rows.shape[1]:  # kept: fresh memory costs a fault every 4 KiB
                room = (len(table) * 5 // 4, rows.shape[1])
                self._gathered = torch.empty(room, dtype=rows.dtype, device=rows.device)
            found = torch.index_select(rows, 0, table, out=self._gathered[: len(table)])
        keys, values = found.view(2, -1, self.config.head_dim).unbind()
        return keys, values


@dataclass(frozen=True, slots=True)
class Span:
    """``count`` tokens of a sequence from position ``start``, whose keys and values lie in ``blocks``."""

    start: int
    count: int
    blocks: Sequence[int]

    @property
    def length(self) -> int:
        return self.start + self.count


def places(spans: Sequence[Span], size: int) -> tuple[Ints, Ints, Ints]:
    """The blocks of each span (S, width), and of each row its span and its position (T,).

    The shorter spans are filled up with their own first block.
    """
    width = max(-(-s.length // size) for s in spans)
    blocks = np.array([_filled(s.blocks[: -(-s.length // size)], width) for s in spans], np.int32)
    owners = np.repeat(np.arange(len(spans), dtype=np.int32), [s.count for s in spans])
    positions = np.array([p for s in spans for p in range(s.start, s.length)], np.int32)
    return blocks, owners, positions


def _fits(kernels: ModuleType, cache: Tensor) -> bool:
    return bool(kernels.usable(cache)) and cache.shape[-1] % int(kernels.LANES) == 0


def _filled(blocks: Sequence[int], width: int) -> list[int]:
    return [*blocks, *[blocks[0]] * (width - len(blocks))]


def plain(
    cache: Cache, layer: int, q: Tensor, span: Span, window: int | None = None, softcap: float | None = None
) -> Tensor:
    """q (count, H, Dh) of one sequence -> (count, H, Dh), one token and one head at a time."""
    out = torch.empty_like(q)
    every_key, every_value = cache.rows(layer)
    shared = q.shape[1] // cache.config.kv_heads
    for row in range(span.count):
        seen = range(max(0, span.start + row + 1 - window) if window else 0, span.start + row + 1)
        places = [(span.blocks[p // cache.size], p % cache.size) for p in seen]
        for head in range(q.shape[1]):
            keys = torch.stack([every_key[b, head // shared, o] for b, o in places])
            values = torch.stack([every_value[b, head // shared, o] for b, o in places])
            scores = keys @ q[row, head] * q.shape[-1] ** -0.5
            if softcap is not None:
                scores = torch.tanh(scores / softcap) * softcap
            out[row, head] = scores.softmax(0) @ values
    return out
