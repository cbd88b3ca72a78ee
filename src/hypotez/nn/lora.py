"""LoRA (Hu et al. 2021) beside the wide matmuls: many adapters in slots, picked by row.

A slot is a place for one adapter. In serving a compiled loop takes for each row the adapter of its slot where it lies,
in an order that depends on that row alone. Without it, rows of one slot cost two thin matmuls on top of the wide one,
and of several their adapters side by side are one wider rank, with a mask.
Adapters may be kept in another dtype than the weights (float32 masters while training); only the thin matrices are
converted, never the activations. Knows no files (``adapters.py`` reads and writes them).
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hypotez.errors import InvalidRequest
from hypotez.nn.fused import compiled
from hypotez.nn.linear import Linear
from hypotez.nn.memory import zeros
from hypotez.nn.rows import Rows

if TYPE_CHECKING:
    from hypotez.nn.decoder import Decoder

_changes = 0

ALL_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "qkv_proj", "gate_up_proj")


class Lora(nn.Module):
    """The adapters of one ``Linear``. ``parts`` are those of its parts that have any, as (name, start, stop)."""

    def __init__(
        self, linear: Linear, parts: Sequence[tuple[str, int, int]], r: int, slots: int, dtype: torch.dtype
    ) -> None:
        super().__init__()
        self.parts, self.r, self.slots = tuple(parts), r, slots
        # (slots, P * r, inputs): the thin matrices of all parts read x in one matmul
        self.a = self._slots(len(parts) * r, linear.inputs, dtype, linear.weight.device)
        # of each part (slots, r, outputs): a number of the thin row is multiplied with what lies side by side
        self.b = nn.ParameterList(self._slots(r, stop - start, dtype, linear.weight.device) for _, start, stop in parts)
        sizes = (linear.inputs, *(stop - start for _, start, stop in parts))
        self.even = math.gcd(*sizes)  # all of them are multiples of it
        self.scale = np.ones(slots)
        self.factors = np.ones((slots, len(parts) * r), np.float32)  # what the compiled loops multiply a thin row with
        self.rank = [0] * slots  # of the adapter in the slot; rows of ``a`` above it are zero
        self.spans = np.array([(start, stop) for _, start, stop in parts])
        self._converted: dict[torch.dtype, tuple[Tensor, Sequence[Tensor]]] = {}
        self._scales: Tensor | None = None  # ``scale`` on the device, once rows were fetched there
        _count_change()

    def put(self, slot: int, part: int, a: Tensor | None, b: Tensor | None) -> None:
        """Write a (rank, inputs) and b (outputs, rank) of one part, None for nothing. ``changed`` has to follow."""
        rank, first = 0, part * self.r
        if a is not None and b is not None:
            rank = len(a)
            self.a[slot, first : first + rank] = a
            self.b[part][slot, :rank] = b.t()
        self._empty(slot, part, rank)

    def read(self, slot: int, part: int) -> tuple[Tensor, Tensor]:
        """The matrices of one part, a (r, inputs) and b (outputs, r)."""
        return self.a[slot, part * self.r : (part + 1) * self.r].detach(), self.b[part][slot].detach().t()

    def _slots(self, rows: int, columns: int, dtype: torch.dtype, device: torch.device) -> nn.Parameter:
        return nn.Parameter(zeros((self.slots, rows, columns), dtype, device), requires_grad=dtype.is_floating_point)

    def _empty(self, slot: int, part: int, rank: int) -> None:
        """Nothing above this rank."""
        if rank < self.r:
            self.a[slot, part * self.r + rank : (part + 1) * self.r] = 0
            self.b[part][slot, rank:] = 0

    def set_scale(self, slot: int, scale: float, rank: int) -> None:
        """Also tells that the slot's matrices are others now (``changed``)."""
        self.scale[slot], self.rank[slot], self.factors[slot] = scale, rank, scale
        if self._scales is not None:
            self._scales[slot] = scale
        self.changed()

    def changed(self) -> None:
        """Matrices were written to: a copy of them in another dtype is stale. Training calls it before it serves."""
        self._converted.clear()
        _count_change()

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        """torch's way to move and to convert a module: the matrices lie elsewhere after it."""
        self._scales = None
        self.changed()
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call,no-any-return]

    def forward(self, x: Tensor, linear: Linear, slot: int, residual: Tensor | None) -> Tensor:
        """For training: all rows use one slot. ``linear`` is the layer that this is beside."""
        out: Tensor = _OneSlot.apply(  # type: ignore[no-untyped-call]
            x, residual, linear, self, slot, linear.weight, linear.bias, self.a, *self.b
        )
        return out

    @torch.no_grad()
    def add(self, y: Tensor, x: Tensor, rows: Rows) -> None:
        """Add what the rows' adapters say about x (T, inputs) to y (T, outputs), in place and without a gradient."""
        assert not y.requires_grad, "a gradient is for rows of one slot"
        kernels = compiled(x)
        if rows.each is not None and kernels is not None and self.even % kernels.LANES == 0:
            a, b = self._numbers(x.dtype)
            kernels.lora(x, a, b, self.factors, rows.each, self.spans, y)
            return
        if rows.slots is not None:
            self._fetch(y, x, rows.slots)
            return
        if rows.slot is not None:
            s = rows.slot
            z = F.linear(x, self.a[s].to(x.dtype))
            for (_, start, stop), thin, b in zip(self.parts, z.chunk(len(self.parts), 1), self.b, strict=True):
                y[:, start:stop].addmm_(thin, b[s].to(x.dtype), alpha=self.scale[s])
            return
        active = rows.active
        z = F.linear(x, self.a[active].to(x.dtype).flatten(0, 1)).view(len(x), len(active), len(self.parts), self.r)
        z *= (rows.keep * torch.from_numpy(self.scale[active]).to(z.device))[:, :, None, None].to(z.dtype)
        for p, ((_, start, stop), b) in enumerate(zip(self.parts, self.b, strict=True)):
            y[:, start:stop].addmm_(z[:, :, p].flatten(1), b[active].to(x.dtype).flatten(0, 1))

    def _fetch(self, y: Tensor, x: Tensor, slots: Tensor) -> None:
        """What ``add`` does, for few rows: each takes its own matrices, and the host is asked nothing."""
        if self._scales is None:
            with torch.inference_mode(False):  # or nobody could write to it outside of that mode
                self._scales = torch.tensor(self.scale.tolist(), device=x.device)
        used = slots.clamp(min=0)
        scale = self._scales.index_select(0, used).masked_fill_(slots < 0, 0)
        z = torch.bmm(self.a.index_select(0, used).to(x.dtype), x.unsqueeze(2)).squeeze(2)  # (T, P * r)
        z *= scale.unsqueeze(1).to(x.dtype)
        for (_, start, stop), thin, b in zip(self.parts, z.chunk(len(self.parts), 1), self.b, strict=True):
            said = torch.bmm(thin.unsqueeze(1), b.index_select(0, used).to(x.dtype)).squeeze(1)
            y.narrow(1, start, stop - start).add_(said)

    def _numbers(self, dtype: torch.dtype) -> tuple[Tensor, Sequence[Tensor]]:
        """``a`` and ``b`` in this dtype: themselves, or a copy."""
        if self.a.dtype is dtype:
            return self.a, self.b  # type: ignore[return-value]
        if dtype not in self._converted:
            self._converted[dtype] = self.a.detach().to(dtype), [b.detach().to(dtype) for b in self.b]
        return self._converted[dtype]


def changes() -> int:
    """Another number whenever some adapter may lie elsewhere, or has other numbers, than before."""
    return _changes


def _count_change() -> None:
    global _changes
    _changes += 1


class _OneSlot(torch.autograd.Function):
    """y = x W' + residual + (x A') (scale B)', keeping only x and the thin z = x A' for the way back."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, residual: Tensor | None, linear: Linear, lora: Lora, slot: int, *trained: Tensor | None
    ) -> Tensor:
        a = lora.a[slot].to(x.dtype)
        b = [(b[slot] * lora.scale[slot]).to(x.dtype) for b in lora.b]
        y, z = linear.multiply(x, residual), F.linear(x, a)
        for (_, start, stop), thin, up in zip(lora.parts, z.chunk(len(b), 1), b, strict=True):
            y[:, start:stop].addmm_(thin, up)
        ctx.save_for_backward(x, z, a, *b)
        ctx.linear, ctx.lora, ctx.slot = linear, lora, slot
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Any:
        x, z, a, *b = ctx.saved_tensors
        lora, slot = ctx.lora, ctx.slot
        dz, db = torch.empty_like(z), []
        thins = zip(z.chunk(len(b), 1), dz.chunk(len(b), 1), strict=True)
        for (_, start, stop), (thin, dthin), up, whole in zip(lora.parts, thins, b, lora.b, strict=True):
            part = dy[:, start:stop]
            torch.mm(part, up.t(), out=dthin)
            db.append(_in_slot(thin.t() @ part, whole, slot).mul_(lora.scale[slot]))
        da = _in_slot(dz.t() @ x, lora.a, slot)
        of_x, of_residual, _, _, _, of_weight, of_bias, *_ = ctx.needs_input_grad
        dx = (dy @ ctx.linear.weight).addmm_(dz, a) if of_x else None
        dw = dy.t() @ x if of_weight else None
        dbias = dy.sum(0) if of_bias else None
        return dx, dy if of_residual else None, None, None, None, dw, dbias, da, *db


def _in_slot(gradient: Tensor, parameter: Tensor, slot: int) -> Tensor:
    """Of one slot -> of all, in the parameter's dtype, and a tensor of its own."""
    if len(parameter) == 1:
        return gradient.to(parameter.dtype)[None]
    found = torch.zeros_like(parameter)
    found[slot] = gradient
    return found


def attach(
    decoder: "Decoder",
    r: int,
    targets: Sequence[str] = ALL_LINEAR,
    slots: int = 1,
    dtype: torch.dtype | None = None,
    kind: type[Lora] = Lora,
) -> None:
    """Put empty slots (they change nothing) of rank up to ``r`` beside every linear layer whose name is a target.

    Called again it grows what is there, and keeps what the slots hold, and their kind; nothing shrinks.
    """
    for linear in decoder.linears:
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
        kept = dtype or (old.a.dtype if old is not None else linear.weight.dtype)
        rank, room = max(r, old.r if old else 0), max(slots, old.slots if old else 0)
        grown = (type(old) if old is not None else kind)(linear, spans, rank, room, kept)
        if old is not None:
            _copy(old, grown)
        linear.lora = grown


@torch.no_grad()
def _copy(old: Lora, new: Lora) -> None:
    names = [name for name, _, _ in new.parts]
    for slot in range(old.slots):
        if old.rank[slot]:  # the memory of the others is not touched
            for p, (name, _, _) in enumerate(old.parts):
                new.put(slot, names.index(name), *old.read(slot, p))
        new.set_scale(slot, old.scale[slot], old.rank[slot])


def loras(decoder: "Decoder") -> list[Lora]:
    found = [linear.lora for linear in decoder.linears if linear.lora is not None]
    if not found:
        raise InvalidRequest("The decoder has no LoRA layers yet; call attach(decoder, r) first.")
    return found


@torch.no_grad()
def initialise(decoder: "Decoder", slot: int, r: int, alpha: float, seed: int) -> None:
    """A fresh adapter as PEFT draws it: A uniform (Kaiming, a = sqrt 5), B zero, so that it changes nothing yet."""
    generator = torch.Generator().manual_seed(seed)
    for lora in loras(decoder):
        if r > lora.r:
            raise InvalidRequest(f"Rank {r} does not fit slots of rank {lora.r}; attach(decoder, r={r}) first.")
        bound = 1 / math.sqrt(lora.a.shape[-1])
        for p, (_, start, stop) in enumerate(lora.parts):
            drawn = torch.empty(r, lora.a.shape[-1]).uniform_(-bound, bound, generator=generator)
            lora.put(slot, p, drawn, torch.zeros(stop - start, r))
        lora.set_scale(slot, alpha / r, r)


@torch.no_grad()
def clear(lora: Lora, slot: int) -> None:
    """Empty the slot: rows that use it get the base model."""
    for part in range(len(lora.parts)):
        lora.put(slot, part, None, None)
    lora.set_scale(slot, 1.0, 0)


def detach(decoder: "Decoder") -> None:
    """Take all slots away."""
    for linear in decoder.linears:
        linear.lora = None
    _count_change()


@torch.no_grad()
def merge(decoder: "Decoder", slot: int) -> None:
    """Add the slot's adapter to the weights for good, and empty the slot. Rounds to the weights' dtype, once."""
    for linear in decoder.linears:
        if linear.lora is not None:
            linear.weight.copy_(merged(linear, slot))
            clear(linear.lora, slot)


def merged(linear: Linear, slot: int) -> Tensor:
    """The weight with the slot's adapter added, (outputs, inputs) in float32; the layer stays as it is."""
    weight = linear.weight.detach().to(torch.float32, copy=True)
    if (lora := linear.lora) is not None:
        for p, (_, start, stop) in enumerate(lora.parts):
            a, b = lora.read(slot, p)
            weight[start:stop].addmm_(b.float(), a.float(), alpha=lora.scale[slot])
    return weight
