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

from hypotez.nn import attend_loops, loops, paired_loops, product_loops, stack_loops, tiles
from hypotez.nn.kept import Kept
from hypotez.nn.lanes import LANES as LANES  # of which rows of products are multiples
from hypotez.nn.native import Guarded, Team, team

_SMALL = 1 << 14  # multiplications that one thread does before another one would have begun

_LIKE = {torch.bfloat16: np.uint16(0), torch.float32: np.float32(0), torch.int8: np.int8(0)}  # bfloat16: its bits

_PAIR = {torch.int32: np.uint32(0), torch.int16: np.uint16(0)}  # of weights in panels

Array = NDArray[np.int32]

_likeliest, _lookup = Guarded(loops.likeliest), Guarded(loops.lookup)
_norm, _swiglu, _split = Guarded(loops.norm), Guarded(loops.swiglu), Guarded(loops.split)
_attend, _product, _lora = Guarded(attend_loops.attend), Guarded(product_loops.product), Guarded(product_loops.lora)
_eight_bits = Guarded(product_loops.eight_bits)
_attend_pairs = Guarded(paired_loops.attend)
_panels, _stack = Guarded(stack_loops.product), Guarded(stack_loops.run, seconds=15)


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


def likeliest(logits: Tensor) -> list[int]:
    """logits (N, V) -> of each row the place of the largest, the first of equals."""
    logits = logits.contiguous()
    out = np.zeros(len(logits), np.int64)
    _run(_likeliest, logits, logits.numel(), logits.data_ptr(), out, *logits.shape)
    found: list[int] = out.tolist()
    return found


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
    layer: int,
    kept: Kept,
    window: int | None,
    softcap: float | None,
) -> Tensor:
    """Keep k and v (T, KV, Dh) in their blocks, and let q (T, H, Dh) attend to what it may see there -> (T, H, Dh).

    Dh is a multiple of ``LANES``.
    """
    q, k, v = q.contiguous(), k.contiguous(), v.contiguous()
    out = torch.empty_like(q)
    places = *(t.data_ptr() for t in (q, k, v)), *kept.addresses[layer].tolist(), *kept.places
    how = window or 0, softcap or 0.0, out.data_ptr(), q.shape[1], kept.shape
    work = kept.work * q.shape[1] * q.shape[2]
    if kept.paired:
        _attend_pairs(q.dtype, _team(), _threads(work), *places, *how)
    else:
        _run(_attend, q, work, *places, *how)
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


def pairs(cache: Tensor) -> bool:
    """Whether keys and values in blocks like these, (..., size, Dh), are better kept in pairs."""
    size, d = cache.shape[-2:]
    return cache.dtype is torch.bfloat16 and size % LANES == 0 and d % LANES == 0 and tiles.usable()


def in_panels(weight: Tensor) -> Tensor | None:
    """A weight (outputs, inputs) as ``panels`` takes it: (outputs / C, inputs / 2, C), C outputs side by side and two
    inputs of each in turn, as int32 for bfloat16 and as int16 for codes of eight bits; a view, to be copied in that
    order. None where the sizes or the processor are not made for it.
    """
    outputs, inputs = weight.shape
    kind = {torch.bfloat16: torch.int32, torch.int8: torch.int16}.get(weight.dtype)
    if kind is None or inputs % 2 or outputs % tiles.COLUMNS or not tiles.usable():
        return None
    pairs = weight.contiguous().view(kind)
    return pairs.view(-1, tiles.COLUMNS, inputs // 2).transpose(1, 2)


def panels(x: Tensor, weight: Tensor, scale: Tensor | None, bias: Tensor | None, residual: Tensor | None) -> Tensor:
    """x (T, inputs) times a weight that ``in_panels`` laid out and scale (outputs,), plus bias and residual
    (T, outputs), rounded once.
    """
    x, added = x.contiguous(), residual.contiguous() if residual is not None else None
    inputs, outputs = x.shape[1], weight.shape[0] * weight.shape[2]
    out = x.new_empty(len(x), outputs)
    optional = (t.data_ptr() if t is not None else 0 for t in (scale, bias, added))
    places = x.data_ptr(), weight.data_ptr(), *optional, out.data_ptr()
    code = _PAIR[weight.dtype]
    _panels(weight.dtype, _team(), _threads(weight.numel()), code, *places, len(x), inputs, outputs)
    return out


def lookup(lanes: Tensor, rows: Tensor) -> Tensor:
    """Rows (T,) of what lies as int32 (columns, words, rows of a column) -> (T, words)."""
    rows = rows.contiguous()
    if len(rows) and int(rows.max()) >= lanes.shape[0] * lanes.shape[2]:
        raise IndexError(f"Row {int(rows.max())} of {lanes.shape[0] * lanes.shape[2]} was asked for.")
    out = lanes.new_empty(len(rows), lanes.shape[1])
    places = lanes.data_ptr(), rows.data_ptr(), out.data_ptr()
    _lookup(out.dtype, _team(), _threads(out.numel()), *places, tuple(lanes.shape), len(rows))
    return out


def stack(
    kind: torch.dtype,
    weights: NDArray[np.int64],
    kept: Kept,
    adapters: NDArray[np.int64],
    slots: Array,
    eps: float,
    softcap: float | None,
    rooms: stack_loops.Rooms,
    sizes: stack_loops.Sizes,
) -> None:
    """All layers of a decoder, in panels of this kind: ``stack_loops.run`` tells what the tables hold."""
    threads = _threads(sizes.count * sizes.hidden * sizes.inner)
    where = weights, kept.addresses, adapters, slots, kept.places, kept.shape
    _stack(kind, _team(), threads, _PAIR[kind], *where, eps, softcap or 0.0, rooms, sizes)


def lora(
    x: Tensor,
    a: Tensor,
    b: Sequence[Tensor],
    factors: NDArray[np.float32],
    slots: Array,
    spans: NDArray[np.int64],
    y: Tensor,
) -> None:
    """Add to each row of y (T, outputs) what the adapter in its slot makes of its row of x (T, inputs).

    a (S, P * r, inputs), for each of the P spans of outputs b (S, r, its size), like x or in eight bits; factors
    (S, P * r), with which what a makes is multiplied; spans (P, 2) are where the outputs start and stop; slots (T,) is
    -1 for no adapter. inputs and the sizes are multiples of ``LANES``; y is contiguous and changed in place.
    """
    x = x.contiguous()
    count, width, inputs = len(x), a.shape[1], a.shape[2]
    work = count * width * (inputs + y.shape[1] // len(b))
    ups = np.array([part.data_ptr() for part in b])
    sizes = count, inputs, y.shape[1], len(a), width
    places = x.data_ptr(), a.data_ptr(), ups, factors, slots, spans, y.data_ptr()
    threads = _threads(work if count > 1 else 0)  # a row is not split
    _lora((x.dtype, a.dtype), _team(), threads, _LIKE[x.dtype], _LIKE[a.dtype], *places, *sizes)


def eight_bits(a: Tensor, b: Tensor, codes_a: Tensor, codes_b: Tensor, steps: NDArray[np.float32]) -> None:
    """Round an adapter's a (r, inputs) and b (outputs, r), of one dtype, to codes_a (r, inputs) and codes_b
    (r, outputs): what it adds is ``steps * (x @ codes_a.T) @ codes_b``, about. steps is (r,).
    """
    a, b = (t.contiguous() if t.dtype in _LIKE else t.float().contiguous() for t in (a, b))
    places = a.data_ptr(), b.data_ptr(), codes_a.data_ptr(), codes_b.data_ptr()
    _run(_eight_bits, a, a.numel() + b.numel(), *places, steps, a.shape[1], len(b))


def _run(loop: Guarded, like: Tensor, work: int, *arguments: Any) -> None:
    """Call the loop for numbers like these, on as many threads as so many multiplications are worth."""
    loop(like.dtype, _team(), _threads(work), _LIKE[like.dtype], *arguments)


@cache
def _team() -> Team:
    return team() or (0, 0, 0, 0)


def _threads(work: int) -> int:
    return 1 if work < _SMALL or not _team()[0] else torch.get_num_threads()
