"""The loops behind ``kernels``, as numba compiles them. Knows arrays, no tensors.

What is split among threads does the share ``part`` of ``parts``. Long innermost loops are over arrays of one dimension:
only there LLVM always sees that no index is negative, and uses vector registers.
"""

import math

import numpy as np
from numba import carray, float32, int32, int64, types, uint32
from numba.extending import overload

from hypotez.nn.native import as_bits, as_float, compiled, inner, pointer, spread

_RUN_OF_LOGITS = 512  # whose largest is found at once


def wide(element):
    """A weight or an activation as float32: numpy has no bfloat16, so it comes as the uint16 of its bits."""
    raise NotImplementedError("for compiled code")


def narrow(number, out):
    """A float32 as an element of the array ``out``, rounded to the nearest, ties to even."""
    raise NotImplementedError("for compiled code")


@overload(wide)
def _wide(element):  # numba compares the names and the annotations with the inner function's
    if element == types.uint16:
        return lambda element: as_float(types.uint32(element) << types.uint32(16))
    return lambda element: element


@overload(narrow)
def _narrow(number, out):
    if out.dtype == types.uint16:
        return lambda number, out: _bfloat16(number)
    return lambda number, out: number


def ranked(element):
    """An integer that is larger where the element is; of integers LLVM finds the largest sixteen at a time."""
    raise NotImplementedError("for compiled code")


@overload(ranked)
def _ranked(element):
    if element == types.uint16:
        return lambda element: types.int16(element ^ (types.uint16(types.int16(element) >> 15) & types.uint16(0x7FFF)))
    return lambda element: int32(as_bits(element) ^ (uint32(int32(as_bits(element)) >> 31) & uint32(0x7FFFFFFF)))


@inner()
def _bfloat16(number):
    bits = as_bits(number)
    if number != number:  # a NaN stays one: adding to its bits could carry into the sign
        return types.uint16(0x7FC0)
    even = (bits >> types.uint32(16)) & types.uint32(1)
    return types.uint16((bits + types.uint32(0x7FFF) + even) >> types.uint32(16))


@inner()
def array(address, like, shape):
    return carray(pointer(address, like), shape)


@compiled()
def norm(team, threads, like, x, weight, eps, out, count, size):
    x, out = array(x, like, (count, size)), array(out, like, (count, size))
    weight = array(weight, like, (size,))
    spread(team, threads, _norm_part, (x, weight, eps, out))


@inner()
def _norm_part(x, weight, eps, out, part, parts):
    count = len(x)
    for row in range(count * part // parts, count * (part + 1) // parts):
        normed(x[row], weight, float32(eps), out[row])


@inner()
def normed(x, weight, eps, out):
    total = float32(0)
    for i in range(len(x)):
        total += wide(x[i]) * wide(x[i])
    scale = float32(1) / math.sqrt(total / float32(len(x)) + eps)
    for i in range(len(x)):
        out[i] = narrow(wide(x[i]) * scale * wide(weight[i]), out)


@compiled()
def swiglu(team, threads, like, gate_up, out, count, size):
    gate_up, out = array(gate_up, like, (count, 2 * size)), array(out, like, (count, size))
    spread(team, threads, _swiglu_part, (gate_up, out))


@inner()
def _swiglu_part(gate_up, out, part, parts):
    count, size = out.shape
    first, stop = size * part // parts, size * (part + 1) // parts
    for row in range(count):
        gated(gate_up[row, first:stop], gate_up[row, size + first : size + stop], out[row, first:stop])


@inner()
def gated(gate, up, out):
    for i in range(len(out)):
        x = wide(gate[i])
        silu = wide(narrow(x / (float32(1) + exp(-x)), out))  # rounded between the two, as torch's silu is
        out[i] = narrow(silu * wide(up[i]), out)


@compiled()
def lookup(team, threads, lanes, rows, out, shape, count):
    lanes, out = array(lanes, uint32(0), shape), array(out, uint32(0), (count, shape[1]))
    spread(team, threads, _lookup_part, (lanes, array(rows, int64(0), (count,)), out))


@inner()
def _lookup_part(lanes, rows, out, part, parts):
    size = lanes.shape[2]
    for i in range(len(rows) * part // parts, len(rows) * (part + 1) // parts):
        column, row = rows[i] // size, rows[i] % size
        for word in range(lanes.shape[1]):
            out[i, word] = lanes[column, word, row]


@compiled()
def likeliest(team, threads, like, logits, out, count, size):
    logits = array(logits, like, (count, size))
    spread(team, threads, _likeliest_part, (logits, out))


@inner()
def _likeliest_part(logits, out, part, parts):
    count, size = logits.shape
    for row in range(count * part // parts, count * (part + 1) // parts):
        best, found = ranked(logits[row, 0]), 0
        for start in range(0, size, _RUN_OF_LOGITS):
            top = _largest(logits[row, start : min(start + _RUN_OF_LOGITS, size)])
            if top > best:
                best, found = top, start
        while found + 1 < size and ranked(logits[row, found]) != best:
            found += 1
        out[row] = found


@inner()
def _largest(x):
    top = ranked(x[0])
    for i in range(len(x)):
        top = max(top, ranked(x[i]))
    return top


@compiled()
def split(team, threads, like, qkv, cos, sin, q, k, v, count, heads, kv, d, turned):
    qkv = array(qkv, like, (count, heads + 2 * kv, d))
    cos, sin = array(cos, like, (count, 1, turned)), array(sin, like, (count, 1, turned))
    q = array(q, like, (count, heads, d))
    k, v = array(k, like, (count, kv, d)), array(v, like, (count, kv, d))
    spread(team, threads, _split_part, (qkv, cos, sin, q, k, v))


@inner()
def _split_part(qkv, cos, sin, q, k, v, part, parts):
    heads, kv = q.shape[1], k.shape[1]
    for row in range(len(qkv) * part // parts, len(qkv) * (part + 1) // parts):
        for head in range(heads + kv):
            out = q[row, head] if head < heads else k[row, head - heads]
            turn(qkv[row, head], cos[row, 0], sin[row, 0], out)
        for head in range(kv):
            copy(qkv[row, heads + kv + head], v[row, head])


@inner()
def turn(x, cos, sin, out):
    half, size = len(cos) // 2, len(cos)
    for side in range(2):
        begin, end = side * half, half + side * half
        _turn_side(x[begin:end], x[half - begin : size - begin], cos[begin:end], sin[begin:end], out[begin:end])
    copy(x[size:], out[size:])


@inner()
def _turn_side(x, other, cos, sin, out):
    for i in range(len(out)):
        out[i] = narrow(wide(x[i]) * wide(cos[i]) + wide(other[i]) * wide(sin[i]), out)


@inner()
def copy(x, out):
    for i in range(len(out)):
        out[i] = x[i]


@inner()
def widen(x, scale, out):
    for i in range(len(out)):
        out[i] = wide(x[i]) * scale


@inner()
def narrowed(x, out):
    for i in range(len(out)):
        out[i] = narrow(x[i], out)


@inner()
def exp(x):
    """e to the x within 2 units in the last place, without a branch (Cephes' expf); x is held to what float32 holds."""
    x = min(max(x, float32(-87.0)), float32(88.0))
    twos = np.floor(x * float32(1.44269504) + float32(0.5))
    rest = x - twos * float32(0.693359375) + twos * float32(2.12194440e-4)
    series = float32(1.9875691500e-4)
    series = series * rest + float32(1.3981999507e-3)
    series = series * rest + float32(8.3334519073e-3)
    series = series * rest + float32(4.1665795894e-2)
    series = series * rest + float32(1.6666665459e-1)
    series = series * rest + float32(5.0000001201e-1)
    return (series * rest * rest + rest + float32(1)) * as_float(uint32(int32(twos) + int32(127)) << uint32(23))
