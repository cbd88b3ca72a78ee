"""Attention over keys and values that lie in pairs, as ``pairs`` multiplies them: bfloat16. Knows arrays, no tensors.

Of a block keys are (KV, d / 2, size, 2) and values (KV, size / 2, d, 2), size a multiple of sixteen: as many numbers as
in rows. What is split among threads does the share ``part`` of ``parts``.
"""

import math

import numpy as np
from numba import float32, uint16

from hypotez.nn.attend_loops import softmax
from hypotez.nn.lanes import LANES
from hypotez.nn.loops import array, narrow, narrowed
from hypotez.nn.native import compiled, inner, spread
from hypotez.nn.pairs import QUERIES, score, weigh_pairs


@compiled()
def attend(team, threads, q, k, v, keys, values, blocks, owners, positions, window, softcap, out, heads, shape):
    like, count, kv, d = uint16(0), len(positions), shape[1], shape[3]
    q, out = array(q, like, (count, heads, d)), array(out, like, (count, heads, d))
    k, v = array(k, like, (count, kv, d)), array(v, like, (count, kv, d))
    keys, values = paired(keys, values, shape)
    spread(team, threads, _keep_part, (k, v, keys, values, blocks, owners, positions))
    spread(team, threads, attend_part, (q, keys, values, blocks, owners, positions, window, softcap, out))


@inner()
def paired(keys, values, shape):
    blocks, kv, size, d = shape
    keys = array(keys, uint16(0), (blocks, kv, d // 2, size, 2))
    return keys, array(values, uint16(0), (blocks, kv, size // 2, d, 2))


@inner()
def _keep_part(k, v, keys, values, blocks, owners, positions, part, parts):
    for row in range(len(k) * part // parts, len(k) * (part + 1) // parts):
        for head in range(k.shape[1]):
            keep_key(k[row, head], keys, blocks, owners, positions, row, head)
            keep_value(v[row, head], values, blocks, owners, positions, row, head)


@inner()
def keep_key(key, keys, blocks, owners, positions, row, head):
    size = keys.shape[3]
    block, place = blocks[owners[row], positions[row] // size], positions[row] % size
    for i in range(keys.shape[2]):
        keys[block, head, i, place, 0] = key[2 * i]
        keys[block, head, i, place, 1] = key[2 * i + 1]


@inner()
def keep_value(value, values, blocks, owners, positions, row, head):
    """The last of a sequence makes its neighbour nothing: it is multiplied by nothing, and may have been no number."""
    size = 2 * values.shape[2]
    block, place = blocks[owners[row], positions[row] // size], positions[row] % size
    last = row + 1 == len(owners) or owners[row + 1] != owners[row]
    for i in range(len(value)):
        values[block, head, place // 2, i, place % 2] = value[i]
    if last and place % 2 == 0:
        for i in range(len(value)):
            values[block, head, place // 2, i, 1] = uint16(0)


@inner()
def attend_part(q, keys, values, blocks, owners, positions, window, softcap, out, part, parts):
    """The queries are the first heads of each row of ``q``, as many as ``out`` has."""
    count, heads, d = out.shape
    kv, size = keys.shape[1], keys.shape[3]
    group, width = heads // kv, q.shape[1]
    room = LANES
    for row in range(count):
        room = max(room, positions[row] + LANES)
    room -= room % LANES
    scores, weights = np.empty((QUERIES, room), np.float32), np.empty((QUERIES, room), np.uint16)
    sums = np.empty((QUERIES, d), np.float32)
    scale = float32(1 / math.sqrt(d))
    numbers = d * size
    # Dealt out in turns: the rows of a prompt see more and more.
    for item in range(part, count * kv, parts):
        row, head = item // kv, item % kv
        length = positions[row] + 1
        first = max(0, length - window) if window else 0
        begin, end = first - first % LANES, (length + LANES - 1) // LANES * LANES
        own = blocks[owners[row]]
        after = min(item + parts, count * kv - 1)
        coming, coming_head = blocks[owners[after // kv]], after % kv
        coming_last = positions[after // kv] // size
        for start in range(0, group, QUERIES):  # query heads that share these keys
            n = min(QUERIES, group - start)
            at = (row * width + head * group + start) * d
            block, place = begin // size, begin % size
            for p in range(begin, end, LANES):
                lies = (own[block] * kv + head) * numbers
                # What is fetched from memory meanwhile: these keys' values, and with the values the next item's keys
                score(n, q, at, keys, lies + 2 * place, values, lies + place * d, size, d, scale, scores, p, room)
                place += LANES
                if place == size:
                    block, place = block + 1, 0
            for j in range(n):
                softmax(scores[j, first:length], float32(softcap))
                _narrowed(scores[j, begin:end], first - begin, length - begin, weights[j, begin:end])
                sums[j, :] = float32(0)
            block, place = begin // size, begin % size
            for p in range(begin, end, LANES):
                pairs = (min(LANES, length - p) + 1) // 2
                lies = (own[block] * kv + head) * numbers + place * d
                then = (coming[min(block, coming_last)] * kv + coming_head) * numbers + 2 * place
                weigh_pairs(n, weights, p, room, pairs, values, lies, keys, then, size, d, sums)
                place += LANES
                if place == size:
                    block, place = block + 1, 0
            for j in range(n):
                narrowed(sums[j], out[row, head * group + start + j])


@inner()
def _narrowed(scores, first, length, weights):
    """Those from ``first`` to ``length``; the others weigh nothing."""
    for p in range(first):
        weights[p] = uint16(0)
    for p in range(first, length):
        weights[p] = narrow(scores[p], weights)
    for p in range(length, len(weights)):
        weights[p] = uint16(0)
