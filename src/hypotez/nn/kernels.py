"""What a serving step does between its matmuls, each in one pass over memory: norm, gated unit, rotation, attention.

In torch these are some twenty calls a layer, and most of the time of a step of one row. Each row is computed by
itself, in an order that depends on that row alone, so it comes out the same, to the last bit, whatever else is in
the step. For a processor, without gradients, in float32 or bfloat16; the tests compare with torch. The loops are
compiled when they are first called (some seconds, once: numba keeps them on disk).
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hypotez.nn import loops
from hypotez.nn.lanes import LANES as LANES  # of which rows of products are multiples
from hypotez.nn.native import Guarded, team

_SMALL = 1 << 14  # multiplications that one thread does before another one would have begun

_LIKE = {torch.bfloat16: np.uint16(0), torch.float32: np.float32(0)}  # numpy has no bfloat16: its bits

Array = NDArray[np.int32]

_norm, _swiglu, _split = Guarded(loops.norm), Guarded(loops.swiglu), Guarded(loops.split)
_attend, _product, _lora = Guarded(loops.attend), Guarded(loops.product), Guarded(loops.lora)


def usable(x: Tensor) -> bool:
    """Whether a tensor like this one can be given to the kernels."""
    return x.device.type == "cpu" and x.dtype in (torch.bfloat16, torch.float32)


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """x (..., D) over its last dimension, times weight (D,), summed and multiplied in float32."""
    x = x.contiguous()
    out = torch.empty_like(x)
    size = x.shape[-1]
    places = x.data_ptr(), weight.data_ptr(), eps, out.data_ptr()
    _run(_norm, x, x.numel(), *places, x.numel() // size, size)
    return out


def swiglu(gate_up: Tensor) -> Tensor:
    """(T, 2 N) with the gate in front -> silu(gate) * up (T, N)."""
    gate_up = gate_up.contiguous()
    count, size = len(gate_up), gate_up.shape[1] // 2
    out = gate_up.new_empty(count, size)
    places = gate_up.data_ptr(), out.data_ptr()
    _run(_swiglu, out, 8 * count * size, *places, count, size)
    return out


def split_rotated(qkv: Tensor, heads: int, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """qkv (T, H + 2 KV, Dh) -> q (T, H, Dh), k and v (T, KV, Dh), as ``fused.split_rotated`` does."""
    qkv = qkv.contiguous()
    count, both, size = qkv.shape
    kv = (both - heads) // 2
    q, k, v = (qkv.new_empty(count, n, size) for n in (heads, kv, kv))
    places = (t.data_ptr() for t in (qkv, cos, sin, q, k, v))
    _run(_split, q, qkv.numel(), *places, count, heads, kv, size, cos.shape[-1])
    return q, k, v


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    keys: Tensor,
    values: Tensor,
    places: tuple[Array, Array, Array],
    work: int,
    window: int | None,
    softcap: float | None,
) -> Tensor:
    """Keep k and v (T, KV, Dh) in their blocks, and let q (T, H, Dh) attend to what it may see there -> (T, H, Dh).

    keys and values (blocks, KV, size, Dh). ``places`` are three arrays of int32: the blocks of each sequence
    (S, width), and for each row which of the sequences it belongs to and its position (T,). ``work`` is the number of
    keys that all rows see together. Dh is a multiple of ``LANES``.
    """
    q, k, v = q.contiguous(), k.contiguous(), v.contiguous()
    out = torch.empty_like(q)
    tensors = (t.data_ptr() for t in (q, k, v, keys, values))
    how = window or 0, softcap or 0.0, out.data_ptr(), q.shape[1], tuple(keys.shape)
    _run(_attend, q, work * q.shape[1] * q.shape[2], *tensors, *places, *how)
    return out


def product(x: Tensor, codes: Tensor, scale: Tensor, residual: Tensor | None) -> Tensor:
    """x (T, inputs) times the weight ``codes * scale[:, None]``, plus residual (T, outputs), rounded once.

    codes are int8 (outputs, inputs), inputs a multiple of ``LANES``; scale (outputs,).
    """
    x, added = x.contiguous(), residual.contiguous() if residual is not None else None
    outputs, inputs = codes.shape
    out = x.new_empty(len(x), outputs)
    places = *(t.data_ptr() for t in (x, codes, scale)), added.data_ptr() if added is not None else 0, out.data_ptr()
    _run(_product, x, codes.numel(), *places, len(x), outputs, inputs)
    return out


def lora(x: Tensor, a: Tensor, b: Sequence[Tensor], seat: Array, spans: NDArray[np.int64], y: Tensor) -> None:
    """Add to each row of y (T, outputs) what the adapter in its seat makes of its row of x (T, inputs).

    a (S, P * r, inputs), and for each of the P spans of outputs b (S, r, its size), scaled; spans (P, 2) are where they
    start and stop; seat (T,) is -1 for no adapter. inputs and the sizes are multiples of ``LANES``; y is contiguous
    and changed in place.
    """
    x = x.contiguous()
    count, width, inputs = len(x), a.shape[1], a.shape[2]
    work = count * width * (inputs + y.shape[1] // len(b))
    ups = np.array([part.data_ptr() for part in b])
    sizes = count, inputs, y.shape[1], len(a), width
    places = x.data_ptr(), a.data_ptr(), ups, seat, spans, y.data_ptr()
    _run(_lora, x, work if count > 1 else 0, *places, *sizes)  # a row is not split


def _run(loop: Guarded, like: Tensor, work: int, *arguments: Any) -> None:
    """Call the loop for numbers like these, on as many threads as so many multiplications are worth."""
    loop(like.dtype, _team(), _threads(work), _LIKE[like.dtype], *arguments)


@cache
def _team() -> tuple[int, int, int]:
    return team() or (0, 0, 0)


def _threads(work: int) -> int:
    return 1 if work < _SMALL or not _team()[0] else torch.get_num_threads()
