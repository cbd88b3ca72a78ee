"""Small operations with their way back written by hand.

Autograd's own would keep more, and pay for every slice with a zeroed copy of the whole; these write each gradient once,
into its place. Same numbers (the tests compare with autograd). On a processor compiled loops take over, where numba is
installed: ``kernels`` without gradients, and in bfloat16 ``kernels_back`` for the ways back. Knows no model.
"""

from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from hypotez.nn.rope import rotate


@cache
def installed(name: str) -> ModuleType | None:
    """Compiled loops of this room; None without numba."""
    try:
        return import_module(f"hypotez.nn.{name}")
    except ImportError:
        return None


def compiled(x: Tensor) -> ModuleType | None:
    """The compiled loops, where they can do the work on ``x``: on a processor, and nobody wants a gradient."""
    if torch.is_grad_enabled() or (kernels := installed("kernels")) is None or not kernels.usable(x):
        return None
    return kernels


def ways_back(x: Tensor) -> ModuleType | None:
    """The compiled ways back. For bfloat16: it is for models so large that loading the loops, half a second, pays."""
    return installed("kernels_back") if x.dtype is torch.bfloat16 and x.device.type == "cpu" else None


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """x (..., D) over its last dimension, in x's dtype, reduced in float32."""
    if (kernels := compiled(x)) is not None:
        return kernels.rms_norm(x, weight, eps)  # type: ignore[no-any-return]
    if not torch.is_grad_enabled():
        return F.rms_norm(x, weight.shape, weight, eps) if x.is_cuda else _normed(x, weight, eps)[0]
    out: Tensor = _RmsNorm.apply(x, weight, eps)  # type: ignore[no-untyped-call]
    return out


def likeliest(logits: Tensor) -> list[int]:
    """logits (N, V) -> of each row the place of the largest, the first of equals. Without gradients."""
    if (kernels := compiled(logits)) is not None:
        return kernels.likeliest(logits)  # type: ignore[no-any-return]
    # max, not argmax: for bfloat16 torch's argmax takes five times as long
    found: list[int] = logits.max(-1).indices.tolist()
    return found


def swiglu(gate_up: Tensor) -> Tensor:
    """(T, 2 N) with the gate in front -> silu(gate) * up (T, N)."""
    if (kernels := compiled(gate_up)) is not None:
        return kernels.swiglu(gate_up)  # type: ignore[no-any-return]
    if not torch.is_grad_enabled():
        gate, up = gate_up.chunk(2, dim=-1)
        return F.silu(gate).mul_(up)
    out: Tensor = _Swiglu.apply(gate_up)  # type: ignore[no-untyped-call]
    return out


def split_rotated(qkv: Tensor, heads: int, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """qkv (T, H + 2 KV, Dh) -> q (T, H, Dh) and k (T, KV, Dh) turned by RoPE, and v (T, KV, Dh).

    cos and sin are (T, 1, R), as ``rope.Rope`` gives them; dimensions of a head beyond R pass as they are.
    """
    if (kernels := compiled(qkv)) is not None:
        return kernels.split_rotated(qkv, heads, cos, sin)  # type: ignore[no-any-return]
    if not torch.is_grad_enabled():
        turned = (qkv.shape[1] + heads) // 2
        both = rotate(qkv[:, :turned], cos, sin)
        return both[:, :heads], both[:, heads:], qkv[:, turned:]
    q, k, v = _SplitRotated.apply(qkv, heads, cos, sin)  # type: ignore[no-untyped-call]
    return q, k, v


def turn(x: Tensor, cos: Tensor, sin: Tensor, out: Tensor) -> None:
    """Write x (T, N, Dh) with its pairs (i, i + R / 2) turned into ``out``; with -sin it turns back."""
    half = cos.shape[-1] // 2
    first, second = x[..., :half], x[..., half : 2 * half]
    cos, sin = cos[..., :half], sin[..., half:]
    torch.mul(first, cos, out=out[..., :half]).addcmul_(second, sin, value=-1)
    torch.mul(second, cos, out=out[..., half : 2 * half]).addcmul_(first, sin)
    if x.shape[-1] > 2 * half:
        out[..., 2 * half :] = x[..., 2 * half :]


def _normed(x: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """The result and the float32 scale (..., 1). No operand is of another dtype: torch would copy it to convert it."""
    wide = x.float()
    scale = torch.linalg.vector_norm(wide, dim=-1, keepdim=True).square_().div_(x.shape[-1]).add_(eps).rsqrt_()
    return (wide * scale).mul_(weight.float()).to(x.dtype), scale


class _RmsNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        alike = weight.dtype is x.dtype and not weight.requires_grad
        ctx.eps, ctx.kernels = eps, ways_back(x) if alike else None
        if ctx.kernels is not None:
            ctx.save_for_backward(x, weight)
            return rms_norm(x, weight, eps)
        out, scale = _normed(x, weight, eps)
        ctx.save_for_backward(x, weight, scale)
        return out

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Any:
        if ctx.kernels is not None:
            return ctx.kernels.rms_norm(dy, *ctx.saved_tensors, ctx.eps), None, None
        x, weight, scale = ctx.saved_tensors
        normed = x * scale  # float32, like scale
        dweight = (dy * normed).flatten(0, -2).sum(0).to(weight.dtype) if ctx.needs_input_grad[1] else None
        if not ctx.needs_input_grad[0]:
            return None, dweight, None
        up = dy * weight.float()
        along = (up * normed).mean(-1, keepdim=True)
        return up.sub_(normed.mul_(along)).mul_(scale).to(x.dtype), dweight, None


class _Swiglu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate_up: Tensor) -> Tensor:
        ctx.save_for_backward(gate_up)
        if ways_back(gate_up) is not None:
            return swiglu(gate_up)
        gate, up = gate_up.chunk(2, dim=-1)
        return F.silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Any:
        (gate_up,) = ctx.saved_tensors
        if (kernels := ways_back(gate_up)) is not None:
            return kernels.swiglu(dy, gate_up)
        gate, up = gate_up.chunk(2, dim=-1)
        both = torch.empty_like(gate_up)
        dgate, dup = both.chunk(2, dim=-1)
        torch.ops.aten.silu_backward.grad_input(dy * up, gate, grad_input=dgate)
        torch.mul(F.silu(gate), dy, out=dup)
        return both


class _SplitRotated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, qkv: Tensor, heads: int, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        ctx.save_for_backward(cos, sin)
        if ways_back(qkv) is not None:
            return split_rotated(qkv, heads, cos, sin)
        turned = (qkv.shape[1] + heads) // 2  # q and k
        both = torch.empty_like(qkv[:, :turned])
        turn(qkv[:, :turned], cos, sin, both)
        return both[:, :heads], both[:, heads:], qkv[:, turned:].clone()

    @staticmethod
    def backward(ctx: Any, dq: Tensor, dk: Tensor, dv: Tensor) -> Any:
        cos, sin = ctx.saved_tensors
        if cos.shape[-1] == dq.shape[-1] and (kernels := ways_back(dq)) is not None:
            return kernels.join_rotated(dq, dk, dv, cos, sin), None, None, None
        heads, kv = dq.shape[1], dk.shape[1]
        dqkv = dq.new_empty(dq.shape[0], heads + 2 * kv, dq.shape[2])
        turn(dq, cos, -sin, dqkv[:, :heads])
        turn(dk, cos, -sin, dqkv[:, heads : heads + kv])
        dqkv[:, heads + kv :] = dv
        return dqkv, None, None, None
