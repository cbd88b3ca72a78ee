"""What a serving step does between its matmuls, each in one pass over memory: norm, gated unit, rotation, attention.

In torch these are some twenty calls a layer, and most of the time of a step of one row. Each row is computed by
itself, in an order that depends on that row alone, so it comes out the same, to the last bit, whatever else is in
the step. For a processor, without gradients, in float32 or bfloat16; the tests compare with torch. The loops are
compiled when they are first called (some seconds, once: numba keeps them on disk).
"""

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hypotez.nn import loops
from hypotez.nn.lanes import LANES as LANES  # of which a head's size is a multiple
from hypotez.nn.native import team

_SMALL = 1 << 14  # multiplications that one thread does before another one would have begun

Array = NDArray[np.generic]


def usable(x: Tensor) -> bool:
    """Whether a tensor like this one can be given to the kernels."""
    return x.device.type == "cpu" and x.dtype in (torch.bfloat16, torch.float32)


def rms_norm(x: Tensor, weight: Tensor, eps: float, offset: float = 0.0) -> Tensor:
    """x (..., D) over its last dimension, times ``offset + weight`` (D,), summed and multiplied in float32."""
    x = x.contiguous()
    out = torch.empty_like(x)
    size = x.shape[-1]
    rows = _array(x).reshape(-1, size)
    loops.norm(_team(), _threads(x.numel()), rows, _array(weight), eps, offset, _array(out).reshape(-1, size))
    return out


def swiglu(gate_up: Tensor) -> Tensor:
    """(T, 2 N) with the gate in front -> silu(gate) * up (T, N)."""
    out = gate_up.new_empty(len(gate_up), gate_up.shape[1] // 2)
    loops.swiglu(_team(), _threads(8 * out.numel()), _array(gate_up.contiguous()), _array(out))
    return out


def split_rotated(qkv: Tensor, heads: int, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """qkv (T, H + 2 KV, Dh) -> q (T, H, Dh), k and v (T, KV, Dh), as ``fused.split_rotated`` does."""
    count, both, size = qkv.shape
    kv = (both - heads) // 2
    q, k, v = (qkv.new_empty(count, n, size) for n in (heads, kv, kv))
    arrays = [_array(t) for t in (qkv.contiguous(), cos, sin, q, k, v)]
    loops.split(_team(), _threads(qkv.numel()), *arrays)
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
    out = torch.empty_like(q, memory_format=torch.contiguous_format)
    arrays = [_array(t.contiguous()) for t in (q, k, v)]
    kept = _array(keys), _array(values)
    threads = _threads(work * q.shape[1] * q.shape[2])
    loops.attend(_team(), threads, *arrays, *kept, *places, window or 0, softcap or 0.0, _array(out))
    return out


def _array(tensor: Tensor) -> Array:
    """The same memory as numpy sees it."""
    if tensor.dtype is torch.bfloat16:
        tensor = tensor.view(torch.uint16)
    return tensor.detach().numpy()


@cache
def _team() -> tuple[int, int, int]:
    return team() or (0, 0, 0)


def _threads(work: int) -> int:
    return 1 if work < _SMALL or not _team()[0] else torch.get_num_threads()
