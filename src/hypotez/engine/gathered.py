"""Attention by torch over blocks that are gathered into rows: where the compiled loops of a processor cannot do it.

On a GPU flash attention for rows of any lengths takes a whole step, writers and chunks of prompts, in one call a layer.
Where there is none (float32, capped scores, a processor) writers of like length attend together, and each chunk of a
prompt has a call of its own. On a processor those products are written out (``torch.bmm``), which for a few query rows
over many short sequences is five times as fast as torch's fused attention.
``writers`` is made of tensors alone and asks nothing of the host, so that it can be recorded (``graphs.py``).
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from hypotez.engine.kv import Cache, Span, Varlen, places

# Writers attend together when the longest has at most this much more than the shortest: more groups are
# more calls, fewer are more padding.
LIKE = 2.0


class Stretch(Protocol):
    """Attention of ``rows`` rows of a step that lie side by side."""

    rows: int

    def __call__(self, layer: int, q: Tensor) -> Tensor:
        """q (rows, H, Dh) -> (rows, H, Dh)."""
        ...


class Gathered:
    """An ``Attend``. ``blocks`` and ``positions`` (T,) say where each row's keys and values are kept."""

    kept = None

    def __init__(self, cache: Cache, stretches: Sequence[Stretch], blocks: Tensor, positions: Tensor) -> None:
        self._cache, self._stretches = cache, stretches
        kv, size = cache.config.kv_heads, cache.size
        first = blocks * (kv * size) + positions % size  # rows of a cache seen as (blocks * KV * size, Dh)
        self._places = (first.unsqueeze(1) + torch.arange(kv, device=first.device) * size).flatten()

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """q (T, H, Dh), k and v (T, KV, Dh) -> (T, H, Dh); k and v are kept."""
        dim = q.shape[-1]
        self._cache.keys[layer].view(-1, dim).index_copy_(0, self._places, k.reshape(-1, dim))
        self._cache.values[layer].view(-1, dim).index_copy_(0, self._places, v.reshape(-1, dim))
        if len(self._stretches) == 1:
            return self._stretches[0](layer, q)
        pieces = torch.split(q, [one.rows for one in self._stretches])
        return torch.cat([one(layer, piece) for one, piece in zip(self._stretches, pieces, strict=True)])


def gathered(cache: Cache, spans: Sequence[Span]) -> Gathered:
    """For the rows of a step, in the order of ``spans``. All that the host knows goes to the device in one copy."""
    blocks, owners, positions = places(spans, cache.size)
    rows = blocks[owners, positions // cache.size], positions
    if cache.varlen is not None:
        counts, used = (np.array(numbers) for numbers in zip(*((s.count, s.length) for s in spans), strict=True))
        widths = -(-used // cache.size)
        flat = blocks[np.arange(blocks.shape[1]) < widths[:, None]]
        ends = np.cumsum([0, *counts]), np.cumsum([0, *(widths * cache.size)])
        into, at, seen, queries, keys, lengths = to_device(cache.keys[0].device, *rows, flat, *ends, used)
        longest = int(counts.max()), int(used.max())
        return Gathered(cache, [_Ragged(cache, cache.varlen, seen, queries, keys, lengths, longest)], into, at)
    groups = _groups(spans)
    most = [-(-max(s.length for s in members) // cache.size) for _, members in groups]
    tables = [blocks[first : first + len(m), :width] for (first, m), width in zip(groups, most, strict=True)]
    starts = [np.array([s.start for s in members]) for _, members in groups]
    into, at, *found = to_device(cache.keys[0].device, *rows, *tables, *starts)
    pieces = zip(groups, found[: len(groups)], found[len(groups) :], strict=True)
    masked = [_Masked(cache, lying, start, members[0].count) for (_, members), lying, start in pieces]
    return Gathered(cache, masked, into, at)


def writers(cache: Cache, blocks: Tensor, positions: Tensor) -> Gathered:
    """For one row of each sequence: its ``blocks`` (n, width), those beyond its length any, and its position (n,)."""
    into = blocks.gather(1, (positions // cache.size).unsqueeze(1)).squeeze(1)
    n, width = blocks.shape
    if cache.varlen is None:
        return Gathered(cache, [_Masked(cache, blocks, positions, 1)], into, positions)
    steps, longest = torch.arange(n + 1, device=blocks.device), width * cache.size
    ends = steps, steps * longest, positions + 1
    return Gathered(cache, [_Ragged(cache, cache.varlen, blocks.flatten(), *ends, (1, longest))], into, positions)


def to_device(device: torch.device, *arrays: NDArray[np.integer]) -> list[Tensor]:
    """Integers as int64 tensors: one copy, and nobody waits for it."""
    if device.type == "cpu":
        return [torch.from_numpy(array.astype(np.int64)) for array in arrays]
    flat = torch.from_numpy(np.concatenate([array.ravel() for array in arrays]).astype(np.int64))
    if device.type == "cuda":
        flat = flat.pin_memory()
    pieces = torch.split(flat.to(device, non_blocking=True), [array.size for array in arrays])
    return [piece.view(array.shape) for piece, array in zip(pieces, arrays, strict=True)]


def _groups(spans: Sequence[Span]) -> list[tuple[int, Sequence[Span]]]:
    """Spans that attend together, and the place of the first."""
    groups: list[tuple[int, Sequence[Span]]] = []
    first = 0
    while first < len(spans):
        stop = first + 1
        if spans[first].count == 1:
            limit = spans[first].length * LIKE + 64
            while stop < len(spans) and spans[stop].count == 1 and spans[stop].length <= limit:
                stop += 1
        groups.append((first, spans[first:stop]))
        first = stop
    return groups


class _Ragged:
    """All rows by ``varlen``. Its page tables want blocks of 256 tokens, so it is given rows end to end.

    ``blocks`` (N,) of the sequences one after another; ``queries`` and ``keys`` (S + 1,) where each sequence's rows and
    gathered keys begin and the last ones end; ``used`` (S,) how many of its keys there are; ``longest`` of both.
    """

    def __init__(
        self,
        cache: Cache,
        varlen: Varlen,
        blocks: Tensor,
        queries: Tensor,
        keys: Tensor,
        used: Tensor,
        longest: tuple[int, int],
    ) -> None:
        self.rows = 0  # all
        self._cache, self._varlen, self._longest = cache, varlen, longest
        self._queries, self._keys, self._used = queries.int(), keys.int(), used.int()
        self._table = _heads_first(cache, blocks.unsqueeze(0))

    def __call__(self, layer: int, q: Tensor) -> Tensor:
        cache = self._cache
        rows = (t.view(cache.config.kv_heads, -1, q.shape[-1]) for t in cache.gather(layer, self._table))
        k, v = (t.transpose(0, 1) for t in rows)  # (N * size, KV, Dh)
        # A sequence's last row sees all keys. Told so, and not that it is causal, the kernel reads shared keys once.
        window = cache.config.windows[layer]
        seen = (window - 1, 0) if window is not None else (-1, 0 if self._longest[0] > 1 else -1)
        ends = self._queries, self._keys, *self._longest
        return self._varlen(q, k, v, *ends, window_size=seen, enable_gqa=True, seqused_k=self._used)


class _Masked:
    """``count`` rows of each of n sequences from position ``starts`` (n,), over ``blocks`` (n, width)."""

    def __init__(self, cache: Cache, blocks: Tensor, starts: Tensor, count: int) -> None:
        config, (self._n, width) = cache.config, blocks.shape
        self.rows, self._cache = self._n * count, cache
        self._table = _heads_first(cache, blocks)
        own = starts.unsqueeze(1) + torch.arange(count, device=starts.device)  # (n, count)
        distance = own.unsqueeze(2) - torch.arange(width * cache.size, device=starts.device)  # (n, count, L)
        self._masks: dict[int | None, Tensor] = {}  # by window; (n, 1, G * count, L), added to the scores
        for window in set(config.windows):
            hidden = distance < 0 if window is None else (distance < 0) | (distance >= window)
            mask = torch.zeros(hidden.shape, dtype=cache.keys[0].dtype, device=starts.device)
            mask = mask.masked_fill_(hidden, float("-inf"))
            if count > 1:
                mask = mask.repeat(1, config.heads // config.kv_heads, 1)
            self._masks[window] = mask.unsqueeze(1)

    def __call__(self, layer: int, q: Tensor) -> Tensor:
        """All query heads of one key-value head stand side by side as queries, so nothing is repeated."""
        config, n = self._cache.config, self._n
        kv, heads, dim, count = config.kv_heads, config.heads, config.head_dim, self.rows // n
        k, v = (t.view(n * kv, -1, dim) for t in self._cache.gather(layer, self._table))
        if count > 1:  # (T, KV, G, Dh) to (KV, G, T, Dh)
            q = q.view(n, count, kv, -1, dim).permute(0, 2, 3, 1, 4)
        out = self._products(q.reshape(n * kv, -1, dim), k, v, self._masks[config.windows[layer]])
        if count > 1:  # (n * KV, G * count, Dh) back again
            out = out.view(n, kv, -1, count, dim).permute(0, 3, 1, 2, 4)
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


def _heads_first(cache: Cache, blocks: Tensor) -> Tensor:
    """blocks (n, width) -> what ``Cache.gather`` takes, (2 * n * KV * width,): of each sequence head by head."""
    heads = torch.arange(cache.config.kv_heads, device=blocks.device)
    rows = (blocks.unsqueeze(1) * cache.config.kv_heads + heads.unsqueeze(1)).flatten()
    return torch.cat([rows, rows + cache.blocks * cache.config.kv_heads])
