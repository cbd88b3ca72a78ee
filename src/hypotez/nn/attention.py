"""Attention without a cache, for training and scoring: sequences end to end, each causal and blind to the others.

``Packed`` is the fast path, one fused kernel call per sequence (or one for all, where they are equally long);
``plain`` writes the same thing out with a mask and exists so that a test can compare. Knows no model.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


class Packed:
    """An ``Attend`` for sequences of ``lengths`` tokens. ``windows`` and ``softcap`` are the config's."""

    def __init__(
        self, lengths: Sequence[int], windows: Sequence[int | None] = (), softcap: float | None = None
    ) -> None:
        self.lengths, self.windows, self.softcap = list(lengths), tuple(windows), softcap
        self._masks: dict[tuple[int, int], Tensor] = {}

    def positions(self, device: torch.device | None = None) -> Tensor:
        """(T,): every sequence counts from 0."""
        return torch.cat([torch.arange(n, device=device) for n in self.lengths])

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """q (T, H, Dh), k and v (T, KV, Dh) -> (T, H, Dh)."""
        window = self.windows[layer] if self.windows else None
        if len(set(self.lengths)) == 1:
            shape = (len(self.lengths), self.lengths[0])
            q, k, v = (t.view(*shape, *t.shape[1:]).transpose(1, 2) for t in (q, k, v))  # (B, H, T, Dh)
            return self._attend(q, k, v, window).transpose(1, 2).flatten(0, 1)
        out = []
        for q1, k1, v1 in zip(*(torch.split(t, self.lengths) for t in (q, k, v)), strict=True):
            one = self._attend(q1.transpose(0, 1)[None], k1.transpose(0, 1)[None], v1.transpose(0, 1)[None], window)
            out.append(one[0].transpose(0, 1))
        return torch.cat(out)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, window: int | None) -> Tensor:
        """All (B, H or KV, T, Dh)."""
        grouped, length = q.shape[1] != k.shape[1], q.shape[2]
        if self.softcap is not None:
            return _written_out(q, k, v, causal_mask(length, window, q.device), self.softcap)
        if window is None or length <= window:
            return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=grouped)
        if (length, window) not in self._masks:
            self._masks[length, window] = causal_mask(length, window, q.device)
        return F.scaled_dot_product_attention(q, k, v, self._masks[length, window], enable_gqa=grouped)


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
