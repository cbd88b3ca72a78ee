"""Keys and values in blocks, and attention over them for one ragged step.

A step mixes sequences that write (one token each) with chunks of prompts. On a processor the compiled loops of
``nn.kernels`` read the blocks where they lie. Elsewhere (a GPU, heads of an odd size, no numba) torch does it: the
writers' blocks are gathered and attended to in one call per layer, sequences of like length together; each chunk of a
prompt has a call of its own. On a processor its products are written out (``torch.bmm``), which for a few query rows
over many short sequences is five times as fast as torch's fused attention.
``plain`` is the same thing token by token, for tests.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from hypotez.nn.config import DecoderConfig
from hypotez.nn.fused import installed
from hypotez.nn.kept import Kept

# Writers attend together when the longest has at most this much more than the shortest: more groups are
# more calls, fewer are more padding.
LIKE = 2.0


class Cache:
    """Room for ``blocks`` blocks of ``size`` tokens in every layer."""

    def __init__(
        self, config: DecoderConfig, blocks: int, size: int, dtype: torch.dtype, device: torch.device | str = "cpu"
    ) -> None:
        self.config, self.blocks, self.size = config, blocks, size
        # Heads first: what is gathered lies as the products want it.
        self._shape = blocks, config.kv_heads, size, config.head_dim
        # Zeros, because what is masked out still must be finite; the pages are the system's until written to.
        self._both = [torch.zeros(2, *self._shape, dtype=dtype, device=device) for _ in range(config.layers)]
        self.keys, self.values = [both[0] for both in self._both], [both[1] for both in self._both]
        places = [(keys.data_ptr(), values.data_ptr()) for keys, values in zip(self.keys, self.values, strict=True)]
        kernels = installed("kernels")
        # The compiled loops, where they can do the work
        self.kernels = kernels if kernels is not None and _fits(kernels, self.keys[0]) else None
        self._paired = self.kernels is not None and self.kernels.pairs(self.keys[0])
        self._addresses = np.array(places, np.int64)
        self._gathered = torch.empty(0, dtype=dtype, device=device)

    @staticmethod
    def token_bytes(config: DecoderConfig, dtype: torch.dtype) -> int:
        """What one token takes, all layers together."""
        return 2 * config.layers * config.kv_heads * config.head_dim * dtype.itemsize

    def kept(self, spans: "Sequence[Span]") -> Kept:
        """Where the compiled loops find what these spans see."""
        work = sum((s.start + s.length + 1) * s.count // 2 for s in spans)
        return Kept(self._addresses, self._shape, _table(spans, self.size), self._paired, work)

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
        if self._gathered.numel() < len(table) * rows.shape[1]:  # reused: fresh memory costs a page fault every 4 KiB
            room = (len(table) * 5 // 4, rows.shape[1])
            self._gathered = torch.empty(room, dtype=rows.dtype, device=rows.device)
        found = self._gathered[: len(table)]
        torch.index_select(rows, 0, table, out=found)
        keys, values = found.view(2, -1, self.config.head_dim)
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


@dataclass(frozen=True, slots=True)
class _Group:
    """Rows ``first`` to ``stop`` attend together over ``count`` sequences' gathered blocks."""

    first: int
    stop: int
    count: int
    table: Tensor  # (2 * count * KV * width,), what ``Cache.gather`` takes
    masks: dict[int | None, Tensor]  # by window; (count, 1, G * rows, keys), added to the scores


class Paged:
    """The ``Attend`` of one step over ``spans``, in the order of the step's rows."""

    def __init__(self, cache: Cache, spans: Sequence[Span]) -> None:
        self._cache = cache
        self._device = cache.keys[0].device
        self._dtype = cache.keys[0].dtype
        self._heads = torch.arange(cache.config.kv_heads, device=self._device)
        self.kept: Kept | None = None
        if cache.kernels is not None:
            self.kept = cache.kept(spans)
            return
        self._places = self._rows(spans)
        self._windows = set(cache.config.windows)
        self._groups = self._grouped(spans)

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """q (T, H, Dh), k and v (T, KV, Dh) -> (T, H, Dh); k and v are kept."""
        cache = self._cache
        if cache.kernels is not None:
            window, softcap = cache.config.windows[layer], cache.config.attention_softcap
            return cache.kernels.attend(q, k, v, layer, self.kept, window, softcap)  # type: ignore[no-any-return]
        dim = q.shape[-1]
        cache.keys[layer].view(-1, dim).index_copy_(0, self._places, k.reshape(-1, dim))
        cache.values[layer].view(-1, dim).index_copy_(0, self._places, v.reshape(-1, dim))
        window = cache.config.windows[layer]
        parts = [self._attend(layer, g, q[g.first : g.stop], g.masks[window]) for g in self._groups]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _attend(self, layer: int, group: _Group, q: Tensor, mask: Tensor) -> Tensor:
        """All query heads of one key-value head stand side by side as queries, so nothing is repeated."""
        config = self._cache.config
        n, kv, heads, dim = group.count, config.kv_heads, config.heads, config.head_dim
        keys, values = self._cache.gather(layer, group.table)
        k, v = keys.view(n * kv, -1, dim), values.view(n * kv, -1, dim)
        rows = len(q) // n
        if rows > 1:  # (T, KV, G, Dh) to (KV, G, T, Dh)
            q = q.view(n, rows, kv, -1, dim).permute(0, 2, 3, 1, 4)
        out = self._products(q.reshape(n * kv, -1, dim), k, v, mask)  # (n * KV, G * rows, Dh)
        if rows > 1:
            out = out.view(n, kv, -1, rows, dim).permute(0, 3, 1, 2, 4)
        return out.reshape(-1, heads, dim)

    def _products(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
        """q (N, R, Dh), k and v (N, L, Dh) -> (N, R, Dh)."""
        softcap, n = self._cache.config.attention_softcap, len(mask)
        if q.is_cuda and softcap is None:
            q, k, v = (t.view(n, -1, *t.shape[1:]) for t in (q, k, v))
            return F.scaled_dot_product_attention(q, k, v, mask).flatten(0, 1)
        scores = torch.bmm(q * q.shape[-1] ** -0.5, k.transpose(1, 2))
        if softcap is not None:
            scores = torch.tanh(scores / softcap) * softcap
        scores.view(n, -1, *scores.shape[1:]).add_(mask)
        return torch.bmm(scores.softmax(-1), v)

    def _rows(self, spans: Sequence[Span]) -> Tensor:
        """Where each row's keys go, (T * KV,): rows of a cache seen as (blocks * KV * size, Dh)."""
        size, kv = self._cache.size, len(self._heads)
        first = [s.blocks[p // size] * kv * size + p % size for s in spans for p in range(s.start, s.length)]
        return (torch.tensor(first, device=self._device)[:, None] + self._heads * size).flatten()

    def _grouped(self, spans: Sequence[Span]) -> list[_Group]:
        groups: list[_Group] = []
        row = first = 0
        while first < len(spans):
            stop = first + 1
            if spans[first].count == 1:
                limit = spans[first].length * LIKE + 64
                while stop < len(spans) and spans[stop].count == 1 and spans[stop].length <= limit:
                    stop += 1
            members = spans[first:stop]
            rows = sum(s.count for s in members)
            groups.append(self._group(row, row + rows, members))
            row, first = row + rows, stop
        return groups

    def _group(self, first: int, stop: int, members: Sequence[Span]) -> _Group:
        config, size, device = self._cache.config, self._cache.size, self._device
        width = max(-(-s.length // size) for s in members)
        # The shorter ones are filled up with their own first block, which the mask hides.
        blocks = torch.tensor([_filled(s.blocks[: -(-s.length // size)], width) for s in members], device=device)
        table = (blocks[:, None] * config.kv_heads + self._heads[:, None]).flatten()  # n, KV, width
        table = torch.cat([table, table + self._cache.blocks * config.kv_heads])
        starts = torch.tensor([s.start for s in members], device=device)
        own = starts[:, None] + torch.arange(members[0].count, device=device)  # (n, rows)
        distance = own[:, :, None] - torch.arange(width * size, device=device)  # (n, rows, L)
        masks = {}
        for window in self._windows:
            hidden = distance < 0 if window is None else (distance < 0) | (distance >= window)
            mask = torch.zeros(hidden.shape, dtype=self._dtype, device=device).masked_fill_(hidden, float("-inf"))
            if members[0].count > 1:
                mask = mask.repeat(1, config.heads // config.kv_heads, 1)
            masks[window] = mask[:, None]
        return _Group(first, stop, len(members), table, masks)


def _table(spans: Sequence[Span], size: int) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """The blocks of each span (S, width), and of each row its span and its position (T,)."""
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
