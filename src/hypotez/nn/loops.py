"""The loops behind ``kernels``, as numba compiles them. Knows arrays, no tensors.

Everything that is compiled into another function lies in this file: numba's cache on disk looks only at the file of
the function that is called. What is split among threads does the share ``part`` of ``parts``.
"""

import math

import numpy as np
from numba import float32, int32, types, uint32
from numba.extending import overload

from hypotez.nn.lanes import dots, weigh
from hypotez.nn.native import as_bits, as_float, compiled, spread

_AHEAD = 2  # blocks of the cache that are on their way from memory while one is worked on

_dots1, _dots2, _dots3, _dots4 = (dots(rows) for rows in (1, 2, 3, 4))
_weigh1, _weigh2, _weigh3, _weigh4 = (weigh(rows) for rows in (1, 2, 3, 4))


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


@compiled()
def _bfloat16(number):
    bits = as_bits(number)
    if number != number:  # a NaN stays one: adding to its bits could carry into the sign
        return types.uint16(0x7FC0)
    even = (bits >> types.uint32(16)) & types.uint32(1)
    return types.uint16((bits + types.uint32(0x7FFF) + even) >> types.uint32(16))


@compiled()
def norm(team, threads, x, weight, eps, offset, out):
    if threads == 1:
        _norm_part(x, weight, eps, offset, out, 0, 1)
    else:
        spread(team, threads, _norm_part, (x, weight, eps, offset, out))


@compiled()
def _norm_part(x, weight, eps, offset, out, part, parts):
    count, size = x.shape
    for row in range(count * part // parts, count * (part + 1) // parts):
        total = float32(0)
        for i in range(size):
            total += wide(x[row, i]) * wide(x[row, i])
        scale = float32(1) / math.sqrt(total / float32(size) + float32(eps))
        for i in range(size):
            out[row, i] = narrow(wide(x[row, i]) * scale * (float32(offset) + wide(weight[i])), out)


@compiled()
def swiglu(team, threads, gate_up, out):
    if threads == 1:
        _swiglu_part(gate_up, out, 0, 1)
    else:
        spread(team, threads, _swiglu_part, (gate_up, out))


@compiled()
def _swiglu_part(gate_up, out, part, parts):
    count, size = out.shape
    for row in range(count):
        for i in range(size * part // parts, size * (part + 1) // parts):
            gate = wide(gate_up[row, i])
            # rounded between the two, as torch's silu is
            silu = wide(narrow(gate / (float32(1) + _exp(-gate)), out))
            out[row, i] = narrow(silu * wide(gate_up[row, size + i]), out)


@compiled()
def split(team, threads, qkv, cos, sin, q, k, v):
    if threads == 1:
        _split_part(qkv, cos, sin, q, k, v, 0, 1)
    else:
        spread(team, threads, _split_part, (qkv, cos, sin, q, k, v))


@compiled()
def _split_part(qkv, cos, sin, q, k, v, part, parts):
    count, heads, kv, d = len(qkv), q.shape[1], k.shape[1], qkv.shape[2]
    for row in range(count * part // parts, count * (part + 1) // parts):
        _turn(qkv, row, 0, cos, sin, q)
        _turn(qkv, row, heads, cos, sin, k)
        for head in range(kv):
            for i in range(d):
                v[row, head, i] = qkv[row, heads + kv + head, i]


@compiled()
def _turn(x, row, first, cos, sin, out):
    """All heads of ``out`` in one row, from the heads of x that begin at ``first``."""
    heads, d = out.shape[1:]
    size = cos.shape[2]
    half = size // 2
    for head in range(heads):
        for i in range(half):
            low, high = wide(x[row, first + head, i]), wide(x[row, first + head, half + i])
            turned = low * wide(cos[row, 0, i]) + high * wide(sin[row, 0, i])
            out[row, head, i] = narrow(turned, out)
            turned = high * wide(cos[row, 0, half + i]) + low * wide(sin[row, 0, half + i])
            out[row, head, half + i] = narrow(turned, out)
        for i in range(size, d):
            out[row, head, i] = x[row, first + head, i]


@compiled()
def attend(team, threads, q, k, v, keys, values, blocks, owners, positions, window, softcap, out):
    if threads == 1:
        _keep_part(k, v, keys, values, blocks, owners, positions, 0, 1)
        _attend_part(q, keys, values, blocks, owners, positions, window, softcap, out, 0, 1)
    else:  # in two steps: a row of a prompt sees those before it
        spread(team, threads, _keep_part, (k, v, keys, values, blocks, owners, positions))
        spread(team, threads, _attend_part, (q, keys, values, blocks, owners, positions, window, softcap, out))


@compiled()
def _keep_part(k, v, keys, values, blocks, owners, positions, part, parts):
    count, size = len(k), keys.shape[2]
    for row in range(count * part // parts, count * (part + 1) // parts):
        position = positions[row]
        block, place = blocks[owners[row], position // size], position % size
        for head in range(k.shape[1]):
            for i in range(k.shape[2]):
                keys[block, head, place, i] = k[row, head, i]
                values[block, head, place, i] = v[row, head, i]


@compiled()
def _attend_part(q, keys, values, blocks, owners, positions, window, softcap, out, part, parts):
    count, heads, d = q.shape
    kv, size = keys.shape[1], keys.shape[2]
    group = heads // kv
    room = positions.max() + 1
    scores = np.empty((4, room), np.float32)
    queries = np.empty((4, d), np.float32)
    sums = np.empty((4, d), np.float32)
    scale = float32(1 / math.sqrt(d))
    # Dealt out in turns: the rows of a prompt see more and more.
    for item in range(part, count * kv, parts):
        row, head = item // kv, item % kv
        length = positions[row] + 1
        first = max(0, length - window) if window else 0
        owner = owners[row]
        for start in range(0, group, 4):  # query heads that share these keys
            n = min(4, group - start)
            for j in range(n):
                for i in range(d):
                    queries[j, i] = wide(q[row, head * group + start + j, i]) * scale
                    sums[j, i] = 0
            p = first
            while p < length:
                run = min(size - p % size, length - p)
                at = ((blocks[owner, p // size] * kv + head) * size + p % size) * d
                then = (blocks[owner, min(p // size + _AHEAD, (length - 1) // size)] * kv + head) * size * d
                if n == 1:
                    _dots1(queries, keys, at, then, run, d, scores, p, room)
                elif n == 2:
                    _dots2(queries, keys, at, then, run, d, scores, p, room)
                elif n == 3:
                    _dots3(queries, keys, at, then, run, d, scores, p, room)
                else:
                    _dots4(queries, keys, at, then, run, d, scores, p, room)
                p += run
            for j in range(n):
                _softmax(scores[j, first:length], float32(softcap))
            p = first
            while p < length:
                run = min(size - p % size, length - p)
                at = ((blocks[owner, p // size] * kv + head) * size + p % size) * d
                then = (blocks[owner, min(p // size + _AHEAD, (length - 1) // size)] * kv + head) * size * d
                if n == 1:
                    _weigh1(scores, p, room, run, values, at, then, d, sums)
                elif n == 2:
                    _weigh2(scores, p, room, run, values, at, then, d, sums)
                elif n == 3:
                    _weigh3(scores, p, room, run, values, at, then, d, sums)
                else:
                    _weigh4(scores, p, room, run, values, at, then, d, sums)
                p += run
            for j in range(n):
                for i in range(d):
                    out[row, head * group + start + j, i] = narrow(sums[j, i], out)


@compiled()
def _softmax(scores, softcap):
    """Of one row of scores, in place."""
    if softcap > 0:
        for p in range(len(scores)):
            # tanh by exp, which is the only one of them that is vectorised
            heat = _exp(float32(2) * scores[p] / softcap)
            scores[p] = softcap * (float32(1) - float32(2) / (heat + float32(1)))
    top = scores[0]
    for p in range(len(scores)):
        top = max(top, scores[p])
    total = float32(0)
    for p in range(len(scores)):
        scores[p] = _exp(scores[p] - top)
        total += scores[p]
    for p in range(len(scores)):
        scores[p] /= total


@compiled()
def _exp(x):
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
