"""Products row by row, for ``kernels``: with weights of eight bits, and with the adapter that each row has of its own.

Knows arrays, no tensors.
"""

import numpy as np
from numba import float32, int8

from hypotez.nn.lanes import ROWS, dots, weigh
from hypotez.nn.loops import array, narrowed, wide, widen
from hypotez.nn.native import compiled, inner, spread

_RUN = 32  # outputs of a product at once


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
        widen(x[row], float32(1), wide_x[row])
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
        widen(a[k], float32(1), before)
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
                widen(x[at + j], float32(1), rows[j])
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
                    widen(y[at + j, start:stop], float32(1), sums[j * size : (j + 1) * size])
                weigh(n, thin, p * r, width, r, up, s * r * size, then * r * size, size, sums)
                for j in range(n):
                    narrowed(sums[j * size : (j + 1) * size], y[at + j, start:stop])
        at += n
