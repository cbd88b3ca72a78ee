"""LoRA (Hu et al. 2021) beside the wide matmuls: many adapters in slots, picked by row.

A slot is a place for one adapter. In serving the adapters of a call's rows are copied into seats (``rows.py``), where a
compiled loop takes for each row its own, in an order that depends on that row alone. Without it, rows of one slot cost
two thin matmuls on top of the wide one, and of several the seats side by side are one wider rank, with a mask.
Adapters may be kept in another dtype than the weights (float32 masters while training); only the thin matrices are
converted, never the activations. Knows no files (``adapters.py`` reads and writes them).
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hypotez.errors import InvalidRequest
from hypotez.nn.fused import compiled
from hypotez.nn.linear import Linear
from hypotez.nn.rows import Rows

ALL_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "qkv_proj", "gate_up_proj")


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
        sizes = (linear.inputs, *(stop - start for _, start, stop in parts))
        self.even = math.gcd(*sizes)  # all of them are multiples of it
        self._spans = np.array([(start, stop) for _, start, stop in parts])
        self._ups = np.empty(len(parts), np.int64)  # addresses of ``_seats_b``
        self.scale = [1.0] * slots
        self.rank = [0] * slots  # of the adapter in the slot; rows of ``a`` above it are zero
        self._seated: list[int] = []  # the slot whose copy is in each seat, -1 for a copy that is stale
        self._seats_a = self.a.new_empty(0)  # (seats, P * r, inputs)
        self._seats_b: list[Tensor] = []  # of each part (seats, r, outputs), scaled
        self._places: tuple[int, ...] = ()

    def set_scale(self, slot: int, scale: float, rank: int) -> None:
        """Also tells that the slot's matrices are others now (``changed``)."""
        self.scale[slot], self.rank[slot] = scale, rank
        self.changed(slot)

    def changed(self, slot: int) -> None:
        """The slot's matrices were written to: its copy in a seat is stale. Training calls it before it serves."""
        self._seated = [-1 if seated == slot else seated for seated in self._seated]

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
        if rows.seat is not None and kernels is not None and self.even % kernels.LANES == 0:
            self._take_seats(rows.seats, x.dtype)
            kernels.lora(x, self._seats_a, self._seats_b, rows.seat, self._spans, y)
            return
        if rows.slot is not None:
            s = rows.slot
            z = F.linear(x, self.a[s].to(x.dtype))
            for (_, start, stop), thin, b in zip(self.parts, z.chunk(len(self.parts), 1), self.b, strict=True):
                y[:, start:stop].addmm_(thin, b[s].t().to(x.dtype), alpha=self.scale[s])
            return
        assert rows.keep is not None
        self._take_seats(rows.seats, x.dtype)
        count = len(rows.seats)
        z = F.linear(x, self._seats_a[:count].flatten(0, 1)).view(len(x), count, len(self.parts), self.r)
        z *= rows.keep[:, :, None, None]
        for p, ((_, start, stop), b) in enumerate(zip(self.parts, self._seats_b, strict=True)):
            y[:, start:stop].addmm_(z[:, :, p].flatten(1), b[:count].flatten(0, 1))

    def seated(self, seats: tuple[int, ...], dtype: torch.dtype) -> tuple[int, ...]:
        """Take the seats; where they lie, as ``stack_loops.LORA_FIELDS`` says."""
        self._take_seats(seats, dtype)
        return self._places

    def _take_seats(self, seats: tuple[int, ...], dtype: torch.dtype) -> None:
        if tuple(self._seated[: len(seats)]) != seats or self._seats_a.dtype != dtype:
            self._seat(seats, dtype)

    def _seat(self, seats: tuple[int, ...], dtype: torch.dtype) -> None:
        """Copy the slots that are not in their seats yet."""
        if len(seats) > len(self._seats_a) or self._seats_a.dtype != dtype:
            room = min(2 * len(seats), self.slots)
            self._seated = []
            self._seats_a = self.a.new_empty((room, *self.a.shape[1:]), dtype=dtype)
            self._seats_b = [b.new_empty((room, self.r, b.shape[1]), dtype=dtype) for b in self.b]
        self._seated += [-1] * (len(seats) - len(self._seated))
        for seat, slot in enumerate(seats):
            if self._seated[seat] != slot:
                self._seated[seat] = slot
                a, b = self.a[slot], [b[slot] for b in self.b]
                seat_a, seat_b = self._seats_a[seat], [place[seat] for place in self._seats_b]
                if (kernels := compiled(a)) is not None and self.a.dtype is dtype:
                    kernels.seat(a, b, self.scale[slot], seat_a, seat_b)
                    continue
                seat_a.copy_(a)
                for place, up in zip(seat_b, b, strict=True):
                    place.copy_(up.t() * self.scale[slot])
        self._ups[:] = [b.data_ptr() for b in self._seats_b]
        addresses = self._seats_a.data_ptr(), self._ups.ctypes.data, self._spans.ctypes.data
        self._places = *addresses, len(self.parts), self._seats_a.shape[1]


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
            y[:, start:stop].addmm_(thin, up.t())
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
            torch.mm(part, up, out=dthin)
            db.append(_in_slot(part.t() @ thin, whole, slot).mul_(lora.scale[slot]))
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
    """Add the slot's adapter to the weights for good, and empty the slot. Rounds to the weights' dtype, once."""
    for linear in linears(decoder):
        if linear.lora is not None:
            linear.weight.copy_(merged(linear, slot))
            clear(linear.lora, slot)


def merged(linear: Linear, slot: int) -> Tensor:
    """The weight with the slot's adapter added, (outputs, inputs) in float32; the layer stays as it is."""
    weight = linear.weight.detach().to(torch.float32, copy=True)
    if (lora := linear.lora) is not None:
        for p, (_, start, stop) in enumerate(lora.parts):
            a, b = lora.a[slot, p * lora.r : (p + 1) * lora.r].detach(), lora.b[p][slot].detach()
            weight[start:stop].addmm_(b.float(), a.float(), alpha=lora.scale[slot])
    return weight
