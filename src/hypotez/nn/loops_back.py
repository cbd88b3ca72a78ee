"""The ways back of what lies between the matmuls of a training step, and its softmax, as numba compiles them.

Every number is read once and written once; torch would walk over memory for each operation. In one thread, for each
core trains a part of the batch of its own. Knows arrays, no tensors.

No compiled function here calls another one but inlined. Of a function that is called LLVM makes two copies, alone and
in its caller, with sums in another order; the process that compiles runs one, those that find the caller on disk the
other, and a job that is killed and begun again would go on with other numbers.
"""

import math

import numpy as np
from numba import float32, uintp

from hypotez.nn.loops import exp, narrow, wide
from hypotez.nn.native import compiled


@compiled()
def norm(dy, x, weight, eps, dx):
    for row in range(len(x)):
        _norm_row(dy[row], x[row], weight, float32(eps), dx[row])


@compiled(forceinline=True)
def _norm_row(dy, x, weight, eps, dx):
    size = len(x)
    total, along = float32(0), float32(0)
    for i in range(size):
        total += wide(x[i]) * wide(x[i])
        along += wide(dy[i]) * wide(weight[i]) * wide(x[i])
    scale = float32(1) / math.sqrt(total / float32(size) + eps)
    along *= scale * scale * scale / float32(size)
    for i in range(size):
        dx[i] = narrow(wide(dy[i]) * wide(weight[i]) * scale - wide(x[i]) * along, dx)


@compiled()
def swiglu(dy, gate_up, both):
    count, size = dy.shape
    for row in range(count):
        _swiglu_row(dy[row], gate_up[row, :size], gate_up[row, size:], both[row, :size], both[row, size:])


@compiled(forceinline=True)
def _swiglu_row(dy, gate, up, dgate, dup):
    for i in range(len(dy)):
        x, d = wide(gate[i]), wide(dy[i])
        share = float32(1) / (float32(1) + exp(-x))
        dup[i] = narrow(d * x * share, dup)
        dgate[i] = narrow(d * wide(up[i]) * share * (float32(1) + x * (float32(1) - share)), dgate)


@compiled()
def join(dq, dk, dv, cos, sin, dqkv):
    count, queries, keys = len(dq), dq.shape[1], dk.shape[1]
    for row in range(count):
        out = dqkv[row]
        _turn_back(dq[row], cos[row], sin[row], out[:queries])
        _turn_back(dk[row], cos[row], sin[row], out[queries : queries + keys])
        values, left = dv[row], out[queries + keys :]
        for i in range(len(values)):
            left[i] = values[i]


@compiled(forceinline=True)
def _turn_back(x, cos, sin, out):
    """Some heads of one row, end to end."""
    size = uintp(len(cos))
    half = size // uintp(2)
    for first in range(uintp(0), uintp(len(x)), size):
        for i in range(half):
            low, high = wide(x[first + i]), wide(x[first + half + i])
            c, s = wide(cos[i]), wide(sin[half + i])
            out[first + i] = narrow(low * c + high * s, out)
            out[first + half + i] = narrow(high * c - low * s, out)


@compiled()
def softmax(scores, scale, queries, offset, window):
    row = np.empty(scores.shape[1], np.float32)
    for at in range(len(scores)):
        stop = offset + at % queries + 1
        start = max(0, stop - window)
        _softmax_row(scores[at, start:stop], float32(scale), row[start:stop])
        scores[at, :start] = 0
        scores[at, stop:] = 0


@compiled(forceinline=True)
def _softmax_row(scores, scale, row):
    top = wide(scores[0]) * scale
    for i in range(len(row)):
        row[i] = wide(scores[i]) * scale
        top = max(top, row[i])
    total = float32(0)
    for i in range(len(row)):
        row[i] = exp(row[i] - top)
        total += row[i]
    share = float32(1) / total
    for i in range(len(row)):
        scores[i] = narrow(row[i] * share, scores)
