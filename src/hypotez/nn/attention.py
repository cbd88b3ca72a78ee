"""Attention without a cache, for training and scoring: sequences end to end, each causal and blind to the others.

``Packed`` has two paths. On a GPU it calls torch's fused kernel sequence by sequence. On a CPU, where that kernel's way
back takes five times its arithmetic, it works in blocks of queries with matmuls over the keys that they may see, and
keeps the weights of short sequences instead of computing them again. ``plain`` writes the same thing out with one mask
and exists so that tests can compare. Knows no model.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from hypotez.nn.fused import ways_back

_BLOCK = 256  # queries at once
_KEPT = 256  # the longest sequence whose attention weights are kept for the way back


class Packed:
    """An ``Attend`` for sequences of ``lengths`` tokens. ``windows`` and ``softcap`` are the config's."""

    def __init__(
        self, lengths: Sequence[int], windows: Sequence[int | None] = (), softcap: float | None = None
    ) -> None:
        self.lengths, self.windows, self.softcap = list(lengths), tuple(windows), softcap
        self.kept = None
        self._masks: dict[tuple[int, int, int, int | None], Tensor] = {}

    def positions(self, device: torch.device | None = None) -> Tensor:
        """(T,): every sequence counts from 0."""
        return torch.cat([torch.arange(n, device=device) for n in self.lengths])

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """q (T, H, Dh), k and v (T, KV, Dh) -> (T, H, Dh)."""
        window = self.windows[layer] if self.windows else None
        if self.softcap is None and q.device.type == "cpu":
            out: Tensor = _Blocks.apply(q, k, v, self, window)  # type: ignore[no-untyped-call]
            return out
        queries, keys, values = (torch.split(t, self.lengths) for t in (q, k, v))
        pieces = zip(queries, keys, values, strict=True)
        return torch.cat([self._one(*piece, window) for piece in pieces])

    def _one(self, q: Tensor, k: Tensor, v: Tensor, window: int | None) -> Tensor:
        """One sequence by the fused kernel, or written out where its scores are capped."""
        q, k, v = (t.transpose(0, 1)[None] for t in (q, k, v))
        length = q.shape[2]
        if self.softcap is not None:
            out = _written_out(q, k, v, causal_mask(length, window, q.device), self.softcap)
        elif window is None or length <= window:
            out = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        else:
            mask = causal_mask(length, window, q.device)
            out = F.scaled_dot_product_attention(q, k, v, mask, enable_gqa=True)
        return out[0].transpose(0, 1)

    def blocks(self, window: int | None) -> Iterator[tuple[slice, slice, bool]]:
        """(queries, the keys that any of them may see, whether weights are kept)."""
        first = 0
        for length in self.lengths:
            for start in range(0, length, _BLOCK):
                stop = min(start + _BLOCK, length)
                low = max(0, start - window + 1) if window is not None else 0
                yield slice(first + start, first + stop), slice(first + low, first + stop), length <= _KEPT
            first += length

    def bias(self, offset: int, queries: int, keys: int, window: int | None, like: Tensor) -> Tensor:
        """(queries, keys), 0 or -inf, where the first query is key ``offset``."""
        key = (offset, queries, keys, window)
        if key not in self._masks:
            seen = causal_mask(keys, window)[offset : offset + queries]
            self._masks[key] = torch.zeros(seen.shape, dtype=like.dtype).masked_fill_(~seen, float("-inf"))
        return self._masks[key]


class _Blocks(torch.autograd.Function):
    """Softmax attention by blocks. Heads that share keys are rows of one matmul: (KV, G * queries, Dh)."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, packed: Packed, window: int | None) -> Tensor:
        out = torch.empty_like(q)
        kept: list[Tensor | None] = []
        for rows, seen, keep in packed.blocks(window):
            weights = _weights(q, k, rows, seen, packed, window)
            _ungroup(torch.bmm(weights, _group(v[seen], k.shape[1])), out[rows])
            kept.append(weights if keep else None)
        ctx.save_for_backward(q, k, v, *kept)
        ctx.packed, ctx.window = packed, window
        return out

    @staticmethod
    def backward(ctx: Any, dout: Tensor) -> Any:
        q, k, v, *kept = ctx.saved_tensors
        heads, scale = k.shape[1], q.shape[-1] ** -0.5
        dq, dk, dv = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
        for (rows, seen, _), weights in zip(ctx.packed.blocks(ctx.window), kept, strict=True):
            queries, up = _group(q[rows], heads), _group(dout[rows], heads)
            keys, values = _group(k[seen], heads), _group(v[seen], heads)
            weights = _weights(q, k, rows, seen, ctx.packed, ctx.window) if weights is None else weights
            dv[seen] += torch.bmm(weights.transpose(1, 2), up).transpose(0, 1)
            dscores = torch.bmm(up, values.transpose(1, 2))
            dscores = torch._softmax_backward_data(dscores, weights, -1, weights.dtype)
            _ungroup(torch.bmm(dscores, keys), dq[rows])
            dk[seen] += torch.bmm(dscores.transpose(1, 2), queries).transpose(0, 1)
        return dq.mul_(scale), dk.mul_(scale), dv, None, None


def _weights(q: Tensor, k: Tensor, rows: slice, seen: slice, packed: Packed, window: int | None) -> Tensor:
    """(KV, G * queries, keys) in q's dtype. The scores are rounded to it, too; the softmax is float32."""
    scale, queries, offset = q.shape[-1] ** -0.5, rows.stop - rows.start, rows.start - seen.start
    q, k = _group(q[rows], k.shape[1]), _group(k[seen], k.shape[1])
    if (kernels := ways_back(q)) is not None:
        weights: Tensor = kernels.softmax_(torch.bmm(q, k.transpose(1, 2)), scale, queries, offset, window)
        return weights
    bias = packed.bias(offset, queries, k.shape[1], window, q).repeat(q.shape[1] // queries, 1)
    return torch.baddbmm(bias, q, k.transpose(1, 2), alpha=scale).softmax(-1, torch.float32).to(q.dtype)


def _group(x: Tensor, kv_heads: int) -> Tensor:
    """(n, H, Dh) -> (KV, G * n, Dh), contiguous: a matmul that has to copy its operand itself takes longer."""
    n, heads, size = x.shape
    return x.transpose(0, 1).reshape(kv_heads, heads // kv_heads * n, size).contiguous()


def _ungroup(x: Tensor, out: Tensor) -> None:
    """(KV, G * n, Dh) into (n, H, Dh)."""
    n, heads, size = out.shape
    out.copy_(x.view(heads, n, size).transpose(0, 1))


def causal_mask(length: int, window: int | None, device: torch.device | None = None) -> Tensor:
    """(length, length), True where the row may see the column: itself and up to ``window - 1`` before it."""
    distance = torch.arange(length, device=device)[:, None] - torch.arange(length, device=device)
    return (distance >= 0) & (distance < (window or length))


def plain(
    q: Tensor, k: Tensor, v: Tensor, lengths: Sequence[int], window: int | None = None, softcap: float | None = None
) -> Tensor:
    """The same with one mask over everything, (T, T). Slow; for tests."""
    owner = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    mask = causal_mask(len(owner), window) & (owner[:, None] == owner)
    q, k, v = (t.transpose(0, 1)[None] for t in (q, k, v))
    return _written_out(q, k, v, mask, softcap)[0].transpose(0, 1)


def _written_out(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, softcap: float | None) -> Tensor:
    repeat = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(repeat, 1), v.repeat_interleave(repeat, 1)
    scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    weights = scores.float().masked_fill(~mask, float("-inf")).softmax(-1)
    return torch.matmul(weights.to(v.dtype), v)
