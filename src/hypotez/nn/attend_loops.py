"""Attention over keys and values in blocks, for ``kernels``, in float32 or bfloat16. Knows arrays, no tensors."""

import math

import numpy as np
from numba import float32

from hypotez.nn.lanes import ROWS, dots, weigh
from hypotez.nn.loops import array, copy, exp, narrowed, widen
from hypotez.nn.native import compiled, inner, spread

_AHEAD = 2  # blocks of the cache that are on their way from memory while one is worked on


@compiled()
def attend(team, threads, like, q, k, v, keys, values, blocks, owners, positions, window, softcap, out, heads, shape):
    count, kv, d = len(positions), shape[1], shape[3]
    q, out = array(q, like, (count, heads, d)), array(out, like, (count, heads, d))
    k, v = array(k, like, (count, kv, d)), array(v, like, (count, kv, d))
    keys, values = array(keys, like, shape), array(values, like, shape)
    # in two steps: a row of a prompt sees those before it
    spread(team, threads, _keep_part, (k, v, keys, values, blocks, owners, positions))
    spread(team, threads, attend_part, (q, keys, values, blocks, owners, positions, window, softcap, out))


@inner()
def _keep_part(k, v, keys, values, blocks, owners, positions, part, parts):
    count, size = len(k), keys.shape[2]
    for row in range(count * part // parts, count * (part + 1) // parts):
        position = positions[row]
        block, place = blocks[owners[row], position // size], position % size
        for head in range(k.shape[1]):
            copy(k[row, head], keys[block, head, place])
            copy(v[row, head], values[block, head, place])


@inner()
def attend_part(q, keys, values, blocks, owners, positions, window, softcap, out, part, parts):
    """The queries are the first heads of each row of ``q``, as many as ``out`` has."""
    count, heads, d = out.shape
    kv, size = keys.shape[1], keys.shape[2]
    group = heads // kv
    room = 1
    for row in range(count):
        room = max(room, positions[row] + 1)
    scores = np.empty((ROWS, room), np.float32)
    queries = np.empty((ROWS, d), np.float32)
    sums = np.empty((ROWS, d), np.float32)
    scale = float32(1 / math.sqrt(d))
    # Dealt out in turns: the rows of a prompt see more and more.
    for item in range(part, count * kv, parts):
        row, head = item // kv, item % kv
        length = positions[row] + 1
        first = max(0, length - window) if window else 0
        owner = owners[row]
        for start in range(0, group, ROWS):  # query heads that share these keys
            n = min(ROWS, group - start)
            for j in range(n):
                widen(q[row, head * group + start + j], scale, queries[j])
                sums[j, :] = float32(0)
            p = first
            while p < length:
                run = min(size - p % size, length - p)
                at = ((blocks[owner, p // size] * kv + head) * size + p % size) * d
                then = (blocks[owner, min(p // size + _AHEAD, (length - 1) // size)] * kv + head) * size * d
                dots(n, queries, keys, at, then, run, d, scores, p, room)
                p += run
            for j in range(n):
                softmax(scores[j, first:length], float32(softcap))
            p = first
            while p < length:
                run = min(size - p % size, length - p)
                at = ((blocks[owner, p // size] * kv + head) * size + p % size) * d
                then = (blocks[owner, min(p // size + _AHEAD, (length - 1) // size)] * kv + head) * size * d
                weigh(n, scores, p, room, run, values, at, then, d, sums)
                p += run
            for j in range(n):
                narrowed(sums[j], out[row, head * group + start + j])


@inner()
def softmax(scores, softcap):
    """Of one row of scores, in place."""
    if softcap > 0:
        for p in range(len(scores)):
            # tanh by exp, which is the only one of them that is vectorised
            heat = exp(float32(2) * scores[p] / softcap)
            scores[p] = softcap * (float32(1) - float32(2) / (heat + float32(1)))
    top = scores[0]
    for p in range(len(scores)):
        top = max(top, scores[p])
    total = float32(0)
    for p in range(len(scores)):
        scores[p] = exp(scores[p] - top)
        total += scores[p]
    for p in range(len(scores)):
        scores[p] /= total
