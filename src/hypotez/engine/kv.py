"""Keys and values in blocks, and attention over them for one ragged step.

A step mixes sequences that write (one token each) with chunks of prompts. The writers' blocks are
gathered and attended to in one call per layer, sequences of like length together; each chunk of a prompt
has a call of its own. Gathering was measured against one contiguous slab per sequence (two cores, bf16,
32 sequences of 128 tokens: 0.40 ms a layer against 0.43 ms), so paging costs nothing and shares prefixes.
``plain`` is the same thing token by token, for tests.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from hypotez.nn.config import DecoderConfig

# Writers attend together when the longest has at most this much more than the shortest: more groups are
# more calls, fewer are more padding.
LIKE = 2.0


class Cache:
    """Room for ``blocks`` blocks of ``size`` tokens in every layer."""

    def __init__(
        self, config: DecoderConfig, blocks: int, size: int, dtype: torch.dtype, device: torch.device | str = "cpu"
    ) -> None:
        self.config, self.blocks, self.size = config, blocks, size
        shape = (blocks, size, config.kv_heads, config.head_dim)
        # Zeros, because what is masked out still must be finite; the pages are the system's until written to.
        self.keys = [torch.zeros(shape, dtype=dtype, device=device) for _ in range(config.layers)]
        self.values = [torch.zeros(shape, dtype=dtype, device=device) for _ in range(config.layers)]
        self._gathered = torch.empty(0, dtype=dtype, device=device)

    @staticmethod
    def token_bytes(config: DecoderConfig, dtype: torch.dtype) -> int:
        """What one token takes, all layers together."""
        return 2 * config.layers * config.kv_heads * config.head_dim * dtype.itemsize

    def gather(self, layer: int, table: Tensor) -> tuple[Tensor, Tensor]:
        """The blocks in ``table`` (N,) one after another: keys and values, each (N * size, KV, Dh)."""
        shape = (2, len(table), *self.keys[layer].shape[1:])
        numbers = 2 * len(table) * self.keys[layer][0].numel()
        if self._gathered.numel() < numbers:  # reused: fresh memory would cost a page fault every 4 KiB
            self._gathered = torch.empty(numbers * 5 // 4, dtype=self._gathered.dtype, device=self._gathered.device)
        both = self._gathered[:numbers].view(shape)
        torch.index_select(self.keys[layer], 0, table, out=both[0])
        torch.index_select(self.values[layer], 0, table, out=both[1])
        return both[0].flatten(0, 1), both[1].flatten(0, 1)


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
    table: Tensor
    masks: dict[int | None, Tensor]  # by window; (count, 1, rows per sequence or 1, keys), added to the scores


class Paged:
    """The ``Attend`` of one step over ``spans``, in the order of the step's rows."""

    def __init__(self, cache: Cache, spans: Sequence[Span]) -> None:
        self._cache = cache
        self._device = cache.keys[0].device
        self._dtype = cache.keys[0].dtype
        size = cache.size
        places = [s.blocks[p // size] * size + p % size for s in spans for p in range(s.start, s.length)]
        self._places = torch.tensor(places, device=self._device)
        self._windows = set(cache.config.windows)
        self._groups = self._grouped(spans)

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """q (T, H, Dh), k and v (T, KV, Dh) -> (T, H, Dh); k and v are kept."""
        cache = self._cache
        cache.keys[layer].flatten(0, 1).index_copy_(0, self._places, k)
        cache.values[layer].flatten(0, 1).index_copy_(0, self._places, v)
        window = cache.config.windows[layer]
        parts = [self._attend(layer, g, q[g.first : g.stop], g.masks[window]) for g in self._groups]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _attend(self, layer: int, group: _Group, q: Tensor, mask: Tensor) -> Tensor:
        """All query heads of one key-value head stand side by side as queries, so nothing is repeated."""
        keys, values = self._cache.gather(layer, group.table)
        kv, dim = keys.shape[1:]
        n, heads = group.count, q.shape[1]
        k = keys.view(n, -1, kv, dim).transpose(1, 2)  # (n, KV, L, Dh)
        v = values.view(n, -1, kv, dim).transpose(1, 2)
        shared = heads // kv
        q = q.view(n, -1, kv, shared, dim).permute(0, 2, 3, 1, 4).flatten(2, 3)  # (n, KV, G * rows, Dh)
        softcap = self._cache.config.attention_softcap
        if softcap is None:
            out = F.scaled_dot_product_attention(q, k, v, mask)
        else:
            scores = torch.tanh(q @ k.transpose(-1, -2) * dim**-0.5 / softcap) * softcap + mask
            out = scores.float().softmax(-1).to(v.dtype) @ v
        return out.view(n, kv, shared, -1, dim).permute(0, 3, 1, 2, 4).reshape(-1, heads, dim)

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
        size, shared = self._cache.size, self._cache.config.heads // self._cache.config.kv_heads
        width = max(-(-s.length // size) for s in members)
        # The shorter ones are filled up with their own first block, which the mask hides.
        table = [b for s in members for b in _filled(s.blocks[: -(-s.length // size)], width)]
        starts = torch.tensor([s.start for s in members], device=self._device)
        own = starts[:, None] + torch.arange(members[0].count, device=self._device)  # (n, rows)
        distance = own[:, :, None] - torch.arange(width * size, device=self._device)  # (n, rows, L)
        masks = {}
        for window in self._windows:
            seen = (distance >= 0) & (distance < (window or width * size))
            mask = torch.zeros(seen.shape, dtype=self._dtype, device=self._device).masked_fill_(~seen, float("-inf"))
            if members[0].count > 1:
                mask = mask.repeat(1, shared, 1)
            masks[window] = mask[:, None]
        return _Group(first, stop, len(members), torch.tensor(table, device=self._device), masks)


def _filled(blocks: Sequence[int], width: int) -> list[int]:
    return [*blocks, *[blocks[0]] * (width - len(blocks))]


def plain(
    cache: Cache, layer: int, q: Tensor, span: Span, window: int | None = None, softcap: float | None = None
) -> Tensor:
    """q (count, H, Dh) of one sequence -> (count, H, Dh), one token and one head at a time."""
    out = torch.empty_like(q)
    shared = q.shape[1] // cache.config.kv_heads
    for row in range(span.count):
        seen = range(max(0, span.start + row + 1 - window) if window else 0, span.start + row + 1)
        places = [(span.blocks[p // cache.size], p % cache.size) for p in seen]
        for head in range(q.shape[1]):
            keys = torch.stack([cache.keys[layer][b, o, head // shared] for b, o in places])
            values = torch.stack([cache.values[layer][b, o, head // shared] for b, o in places])
            scores = keys @ q[row, head] * q.shape[-1] ** -0.5
            if softcap is not None:
                scores = torch.tanh(scores / softcap) * softcap
            out[row, head] = scores.softmax(0) @ values
    return out
