"""LoRA (Hu et al. 2021) beside the wide matmuls: many adapters in slots, picked by row.

A slot is a place for one adapter. When all rows of a call use one slot, it costs two thin matmuls on top of the wide
one; when they differ, the adapters in use are laid side by side as one wider rank and a mask keeps each row to its
own. Adapters may be kept in another dtype than the weights (float32 masters while training); only the thin matrices
are converted, never the activations. Knows no files (``adapters.py`` reads and writes them).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hypotez.errors import InvalidRequest
from hypotez.nn.linear import Linear

ALL_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "qkv_proj", "gate_up_proj")


@dataclass(frozen=True, slots=True)
class Rows:
    """Which slot each row of one forward pass uses, worked out once for all layers."""

    slot: int | None  # the one slot that every row uses, else None and:
    active: Tensor | None = None  # (S,) the slots in use
    member: Tensor | None = None  # (T, S), 1 where the row uses that slot

    @classmethod
    def of(cls, slots: Tensor | int | None, dtype: torch.dtype) -> Self | None:
        """None where no row uses an adapter."""
        if slots is None or isinstance(slots, int):
            return None if slots is None or slots < 0 else cls(slots)
        used = torch.unique(slots)
        active = used[used >= 0]
        if len(used) == 1:
            return cls(int(used)) if len(active) else None
        return cls(None, active, (slots[:, None] == active).to(dtype))


class Lora(nn.Module):
    """The adapters of one ``Linear``. ``parts`` are those of its parts that have any, as (name, start, stop)."""

    def __init__(self, linear: Linear, parts: Sequence[tuple[str, int, int]], r: int, slots: int) -> None:
        super().__init__()
        self.parts, self.r, self.slots = tuple(parts), r, slots
        # (slots, P * r, inputs): the thin matrices of all parts read x in one matmul
        self.a = nn.Parameter(torch.zeros(slots, len(parts) * r, linear.inputs, device=linear.weight.device))
        self.b = nn.ParameterList(
            torch.zeros(slots, stop - start, r, device=linear.weight.device) for _, start, stop in parts
        )
        self.scale = [1.0] * slots
        self.rank = [0] * slots  # of the adapter in the slot; rows of ``a`` above it are zero
        self._scales = torch.ones(slots, device=linear.weight.device)

    def set_scale(self, slot: int, scale: float, rank: int) -> None:
        self.scale[slot], self.rank[slot] = scale, rank
        self._scales[slot] = scale

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor | None, rows: Rows) -> Tensor:
        if rows.slot is None:
            return self._mixed(x, weight, bias, rows)
        s = rows.slot
        spans = [(start, stop) for _, start, stop in self.parts]
        out: Tensor = _OneSlot.apply(  # type: ignore[no-untyped-call]
            x, weight, bias, self.a[s].to(x.dtype), self.scale[s], spans, *[b[s].to(x.dtype) for b in self.b]
        )
        return out

    def _mixed(self, x: Tensor, weight: Tensor, bias: Tensor | None, rows: Rows) -> Tensor:
        """S adapters as one of rank S * r. For serving: it has a gradient, but nothing trains mixed rows."""
        assert rows.active is not None
        assert rows.member is not None
        y = F.linear(x, weight, bias)
        count, keep = len(rows.active), rows.member * self._scales[rows.active].to(x.dtype)
        a = self.a[rows.active].to(x.dtype).flatten(0, 1)  # (S * P * r, inputs)
        z = F.linear(x, a).view(len(x), count, len(self.parts), self.r) * keep[:, :, None, None]
        for p, (_, start, stop) in enumerate(self.parts):
            b = self.b[p][rows.active].to(x.dtype).transpose(1, 2).flatten(0, 1)  # (S * r, outputs)
            y[:, start:stop].addmm_(z[:, :, p].flatten(1), b)
        return y


class _OneSlot(torch.autograd.Function):
    """y = x W' + scale (x A') B', keeping only x and the thin z = x A' for the way back."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        a: Tensor,
        scale: float,
        spans: list[tuple[int, int]],
        *b: Tensor,
    ) -> Tensor:
        y, z = F.linear(x, weight, bias), F.linear(x, a)
        for thin, (start, stop), up in zip(z.chunk(len(b), 1), spans, b, strict=True):
            y[:, start:stop].addmm_(thin, up.t(), alpha=scale)
        ctx.save_for_backward(x, z, weight, a, *b)
        ctx.scale, ctx.spans = scale, spans
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Any:
        x, z, weight, a, *b = ctx.saved_tensors
        dz = torch.empty_like(z)
        db = []
        for thin, dthin, (start, stop), up in zip(z.chunk(len(b), 1), dz.chunk(len(b), 1), ctx.spans, b, strict=True):
            part = dy[:, start:stop]
            torch.mm(part, up, out=dthin)
            db.append(part.t() @ thin * ctx.scale)
        dz *= ctx.scale
        dx = (dy @ weight).addmm_(dz, a) if ctx.needs_input_grad[0] else None
        dw = dy.t() @ x if ctx.needs_input_grad[1] else None
        dbias = dy.sum(0) if ctx.needs_input_grad[2] else None
        return dx, dw, dbias, dz.t() @ x, None, None, *db


def attach(
    decoder: nn.Module, r: int, targets: Sequence[str] = ALL_LINEAR, slots: int = 1, dtype: torch.dtype | None = None
) -> None:
    """Put empty slots (they change nothing) of rank up to ``r`` beside every linear layer whose name is a target.

    Called again it grows what is there, and keeps what the slots hold; nothing shrinks.
    """
    for linear in linears(decoder):
        old, spans, start = linear.lora, [], 0
        held = {name for name, _, _ in old.parts} if old is not None else set()
        for name, size in linear.parts:
            if name in held or name.rpartition(".")[2] in targets:
                spans.append((name, start, start + size))
            start += size
        if not spans:
            continue
        if old is not None and old.r >= r and old.slots >= slots and len(old.parts) == len(spans):
            continue
        grown = Lora(linear, spans, max(r, old.r if old else 0), max(slots, old.slots if old else 0))
        grown.to(dtype or (old.a.dtype if old is not None else linear.weight.dtype))
        if old is not None:
            _copy(old, grown)
        linear.lora = grown


@torch.no_grad()
def _copy(old: Lora, new: Lora) -> None:
    names = [name for name, _, _ in new.parts]
    for p, (name, _, _) in enumerate(old.parts):
        q = names.index(name)
        new.a[: old.slots, q * new.r : q * new.r + old.r] = old.a[:, p * old.r : (p + 1) * old.r]
        new.b[q][: old.slots, :, : old.r] = old.b[p]
    for slot in range(old.slots):
        new.set_scale(slot, old.scale[slot], old.rank[slot])


def linears(decoder: nn.Module) -> Iterator[Linear]:
    """Every wide matmul of the decoder, in order."""
    return (module for module in decoder.modules() if isinstance(module, Linear))


def loras(decoder: nn.Module) -> list[Lora]:
    found = [linear.lora for linear in linears(decoder) if linear.lora is not None]
    if not found:
        raise InvalidRequest("The decoder has no LoRA layers yet; call attach(decoder, r) first.")
    return found


@torch.no_grad()
def initialise(decoder: nn.Module, slot: int, r: int, alpha: float, seed: int) -> None:
    """A fresh adapter as PEFT draws it: A uniform (Kaiming, a = sqrt 5), B zero, so that it changes nothing yet."""
    generator = torch.Generator().manual_seed(seed)
    for lora in loras(decoder):
        if r > lora.r:
            raise InvalidRequest(f"Rank {r} does not fit slots of rank {lora.r}; attach(decoder, r={r}) first.")
        clear(lora, slot)
        bound = 1 / math.sqrt(lora.a.shape[-1])
        for p in range(len(lora.parts)):
            drawn = torch.empty(r, lora.a.shape[-1]).uniform_(-bound, bound, generator=generator)
            lora.a[slot, p * lora.r : p * lora.r + r] = drawn.to(lora.a)
        lora.set_scale(slot, alpha / r, r)


@torch.no_grad()
def clear(lora: Lora, slot: int) -> None:
    """Empty the slot: rows that use it get the base model."""
    lora.a[slot] = 0
    for b in lora.b:
        b[slot] = 0
    lora.set_scale(slot, 1.0, 0)


def detach(decoder: nn.Module) -> None:
    """Take all slots away."""
    for linear in linears(decoder):
        linear.lora = None


@torch.no_grad()
def merge(decoder: nn.Module, slot: int) -> None:
    """Add the slot's adapter to the weights for good, and empty the slot. Rounds to the weights' dtype."""
    for linear in linears(decoder):
        if (lora := linear.lora) is None:
            continue
        for p, (_, start, stop) in enumerate(lora.parts):
            a, b = lora.a[slot, p * lora.r : (p + 1) * lora.r].float(), lora.b[p][slot].float()
            linear.weight[start:stop] += (b @ a * lora.scale[slot]).to(linear.weight.dtype)
        clear(lora, slot)
