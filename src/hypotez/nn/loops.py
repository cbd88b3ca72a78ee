"""The loops behind ``kernels``, as numba compiles them. Knows arrays, no tensors.

What is split among threads does the share ``part`` of ``parts``. Long innermost loops are over arrays of one dimension:
only there LLVM always sees that no index is negative, and uses vector registers.
"""

import math

import numpy as np
from numba import carray, float32, int8, int32, int64, types, uint32
from numba.extending import overload

from hypotez.nn.lanes import ROWS, dots, weigh
from hypotez.nn.native import as_bits, as_float, compiled, inner, pointer, spread

_RUN = 32  # outputs of a product at once
_RUN_OF_LOGITS = 512  # whose largest is found at once
_AHEAD = 2  # blocks of the cache that are on their way from memory while one is worked on


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
                _widen(q[row, head * group + start + j], scale, queries[j])
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
def _widen(x, scale, out):
    for i in range(len(out)):
        out[i] = wide(x[i]) * scale


@inner()
def narrowed(x, out):
    for i in range(len(out)):
        out[i] = narrow(x[i], out)


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


@compiled()
def product(team, threads, like, x, codes, scale, added, out, count, outputs, d):
    added = array(added, like, (count if added else 0, outputs))
    x, out = array(x, like, (count, d)), array(out, like, (count, outputs))
    codes, scale = array(codes, int8(0), (outputs, d)), array(scale, like, (outputs,))
    spread(team, threads, _product_part, (x, codes, scale, added, out))


@inner()
def _product_part(x, codes, scale, added, out, part, parts):
    count, d = x.shape
    outputs = len(codes)
    first, stop = outputs * part // parts, outputs * (part + 1) // parts
    wide_x = np.empty((count, d), np.float32)
    for row in range(count):
        _widen(x[row], float32(1), wide_x[row])
    sums = np.empty((ROWS, _RUN), np.float32)
    for start in range(first, stop, _RUN):
        run = min(_RUN, stop - start)
        for row in range(0, count, ROWS):  # the codes of a run stay in the nearest cache
            n = min(ROWS, count - row)
            rows = wide_x[row : row + n]
            dots(n, rows, codes, start * d, (start + run) * d, run, d, sums, 0, _RUN)
            for j in range(n):
                _scale(sums[j, :run], scale[start : start + run])
                if len(added):
                    _add(sums[j, :run], added[row + j, start : start + run])
                narrowed(sums[j, :run], out[row + j, start : start + run])


@inner()
def _scale(sums, scale):
    for i in range(len(sums)):
        sums[i] *= wide(scale[i])


@inner()
def _times(sums, factors):
    for i in range(len(sums)):
        sums[i] *= factors[i]


@inner()
def _add(sums, added):
    for i in range(len(sums)):
        sums[i] += wide(added[i])


@compiled()
def eight_bits(team, threads, like, a, b, codes_a, codes_b, steps, inputs, outputs):
    r = len(steps)
    a, b = array(a, like, (r, inputs)), array(b, like, (outputs, r))
    codes_a, codes_b = array(codes_a, int8(0), (r, inputs)), array(codes_b, int8(0), (r, outputs))
    spread(team, threads, _eight_bits_part, (a, b, codes_a, codes_b, steps))


@inner()
def _eight_bits_part(a, b, codes_a, codes_b, steps, part, parts):
    r = len(steps)
    room = np.empty(max(a.shape[1], len(b)), np.float32)
    for k in range(r * part // parts, r * (part + 1) // parts):
        before, behind = room[: a.shape[1]], room[: len(b)]
        _widen(a[k], float32(1), before)
        step = _rounded(before, codes_a[k])
        for i in range(len(b)):
            behind[i] = wide(b[i, k])
        steps[k] = step * _rounded(behind, codes_b[k])


@inner()
def _rounded(x, codes):
    """Codes of x by the step that the largest allows, and the step."""
    top = float32(0)
    for i in range(len(x)):
        top = max(top, abs(x[i]))
    by = float32(127) / top if top > 0 else float32(0)
    for i in range(len(x)):
        codes[i] = int8(np.floor(x[i] * by + float32(0.5)))
    return top / float32(127)


@compiled()
def lora(team, threads, like, code, x, a, ups, factors, slots, spans, y, count, inputs, outputs, room, width):
    x, y = array(x, like, (count, inputs)), array(y, like, (count, outputs))
    a = array(a, code, (room, width, inputs))
    spread(team, threads, lora_part, (code, x, a, ups, factors, slots, spans, y))


@inner()
def lora_part(code, x, a, ups, factors, slots, spans, y, part, parts):
    count, d = x.shape
    room, width = a.shape[:2]
    r = width // len(ups)
    rows = np.empty((ROWS, d), np.float32)
    thin = np.empty((ROWS, width), np.float32)
    sums = np.empty(ROWS * y.shape[1], np.float32)
    at, end = count * part // parts, count * (part + 1) // parts
    while at < end:
        s, n = slots[at], 1
        while n < ROWS and at + n < end and slots[at + n] == s:  # neighbours of one adapter share its reading
            n += 1
        if s >= 0:
            for j in range(n):
                _widen(x[at + j], float32(1), rows[j])
            # The next adapter's numbers come from memory while this one's are multiplied.
            then = max(slots[at + n], 0) if at + n < end else s
            dots(n, rows, a, s * width * d, then * width * d, width, d, thin, 0, width)
            for j in range(n):
                _times(thin[j], factors[s])
            for p in range(len(ups)):
                start, stop = spans[p]
                size = stop - start
                up = array(ups[p], code, (room, r, size))
                for j in range(n):
                    _widen(y[at + j, start:stop], float32(1), sums[j * size : (j + 1) * size])
                weigh(n, thin, p * r, width, r, up, s * r * size, then * r * size, size, sums)
                for j in range(n):
                    narrowed(sums[j * size : (j + 1) * size], y[at + j, start:stop])
        at += n
