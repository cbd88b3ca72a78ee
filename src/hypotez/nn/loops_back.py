"""The ways back of what lies between the matmuls of a training step, and its softmax, as numba compiles them.

Every number is read once and written once; torch would walk over memory for each operation. What is split among
threads does the share ``part`` of ``parts``. Knows arrays, no tensors.
"""

import math

import numpy as np
from numba import float32, uintp

from hypotez.nn.loops import _exp, narrow, wide
from hypotez.nn.native import compiled, spread


@compiled()
def norm(team, threads, dy, x, weight, eps, dx):
    if threads == 1:
        _norm_part(dy, x, weight, eps, dx, 0, 1)
    else:
        spread(team, threads, _norm_part, (dy, x, weight, eps, dx))


@compiled()
def _norm_part(dy, x, weight, eps, dx, part, parts):
    count = len(x)
    for row in range(count * part // parts, count * (part + 1) // parts):
        _norm_row(dy[row], x[row], weight, float32(eps), dx[row])


@compiled()
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
def swiglu(team, threads, dy, gate_up, both):
    if threads == 1:
        _swiglu_part(dy, gate_up, both, 0, 1)
    else:
        spread(team, threads, _swiglu_part, (dy, gate_up, both))


@compiled()
def _swiglu_part(dy, gate_up, both, part, parts):
    count, size = dy.shape
    for row in range(count * part // parts, count * (part + 1) // parts):
        _swiglu_row(dy[row], gate_up[row, :size], gate_up[row, size:], both[row, :size], both[row, size:])


@compiled()
def _swiglu_row(dy, gate, up, dgate, dup):
    for i in range(len(dy)):
        x, d = wide(gate[i]), wide(dy[i])
        share = float32(1) / (float32(1) + _exp(-x))
        dup[i] = narrow(d * x * share, dup)
        dgate[i] = narrow(d * wide(up[i]) * share * (float32(1) + x * (float32(1) - share)), dgate)


@compiled()
def join(team, threads, dq, dk, dv, cos, sin, dqkv):
    if threads == 1:
        _join_part(dq, dk, dv, cos, sin, dqkv, 0, 1)
    else:
        spread(team, threads, _join_part, (dq, dk, dv, cos, sin, dqkv))


@compiled()
def _join_part(dq, dk, dv, cos, sin, dqkv, part, parts):
    count, queries, keys = len(dq), dq.shape[1], dk.shape[1]
    for row in range(count * part // parts, count * (part + 1) // parts):
        out = dqkv[row]
        _turn_back(dq[row], cos[row], sin[row], out[:queries])
        _turn_back(dk[row], cos[row], sin[row], out[queries : queries + keys])
        values, left = dv[row], out[queries + keys :]
        for i in range(len(values)):
            left[i] = values[i]


@compiled()
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
def softmax(team, threads, scores, scale, queries, offset, window):
    if threads == 1:
        _softmax_part(scores, scale, queries, offset, window, 0, 1)
    else:
        spread(team, threads, _softmax_part, (scores, scale, queries, offset, window))


@compiled()
def _softmax_part(scores, scale, queries, offset, window, part, parts):
    count = len(scores)
    row = np.empty(scores.shape[1], np.float32)
    for at in range(count * part // parts, count * (part + 1) // parts):
        stop = offset + at % queries + 1
        start = max(0, stop - window)
        _softmax_row(scores[at, start:stop], float32(scale), row[start:stop])
        scores[at, :start] = 0
        scores[at, stop:] = 0


@compiled()
def _softmax_row(scores, scale, row):
    top = wide(scores[0]) * scale
    for i in range(len(row)):
        row[i] = wide(scores[i]) * scale
        top = max(top, row[i])
    total = float32(0)
    for i in range(len(row)):
        row[i] = _exp(row[i] - top)
        total += row[i]
    share = float32(1) / total
    for i in range(len(row)):
        scores[i] = narrow(row[i] * share, scores)
