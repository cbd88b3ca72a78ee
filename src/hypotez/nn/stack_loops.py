"""All layers of a decoder in one compiled call, for ``stack``: bfloat16, in panels. Knows arrays, no tensors.

Between two layers, and between the parts of one, the threads of the team wait for each other (``meet``), a microsecond;
from Python every operation would be a call of its own, ten a layer, and most of the time of a step of few rows. What is
split among threads does the share ``part`` of ``parts``.
"""

from typing import NamedTuple

import numpy as np
from numba import float32, int8, int64, uint16, uint32

from hypotez.nn.loops import array, copy, gated, normed, turn
from hypotez.nn.native import apart, compiled, inner, meet, spread
from hypotez.nn.paired_loops import attend_part, keep_key, keep_value, paired
from hypotez.nn.product_loops import lora_part
from hypotez.nn.tiles import COLUMNS, ROWS, tile

# Columns of the table of a layer's weights: addresses, 0 for what the layer does not have
FIELDS = (
    *("norm", "qkv", "qkv_scale", "qkv_bias", "q_norm", "k_norm", "o", "o_scale", "o_bias"),
    *("mlp_norm", "gate_up", "gate_up_scale", "gate_up_bias", "down", "down_scale", "down_bias"),
    *("rotated", "window"),  # not addresses: 1 or 0; positions, 0 for all
)
_NORM, _QKV, _QKV_SCALE, _QKV_BIAS, _Q_NORM, _K_NORM, _O, _O_SCALE, _O_BIAS = range(9)
_MLP_NORM, _GATE_UP, _GATE_UP_SCALE, _GATE_UP_BIAS, _DOWN, _DOWN_SCALE, _DOWN_BIAS = range(9, 16)
_ROTATED, _WINDOW = 16, 17
# Of a product's adapters: addresses of ``lora``'s a, b, factors and spans, how many spans, their ranks together, slots
LORA_FIELDS = ("a", "ups", "factors", "spans", "parts", "width", "slots")
_A, _UPS, _FACTORS, _SPANS, _PARTS, _WIDTH, _SLOTS = range(7)
_NOTHING = np.int64(0)  # an address, or a place; of the same type as the others
_OF_QKV, _OF_O, _OF_GATE_UP, _OF_DOWN = (np.int64(i) for i in range(4))


class Sizes(NamedTuple):
    """Of one call."""

    count: int  # rows
    hidden: int
    heads: int
    kv: int
    head_dim: int
    turned: int  # numbers of a head that are rotated
    inner: int
    pair: int  # bytes of a pair of weights


class Rooms(NamedTuple):
    """Addresses of bfloat16: the stream (count, hidden), which is changed in place, and room for what lies between."""

    x: int
    normed: int  # (count, hidden)
    qkv: int  # (count, (heads + 2 kv) head_dim)
    seen: int  # (count, heads * head_dim)
    gate_up: int  # (count, 2 inner)
    gated: int  # (count, inner)
    cos: int  # (count, turned)
    sin: int


@compiled()
def product(team, threads, code, x, weight, scale, bias, added, out, count, inputs, outputs):
    """x (count, inputs) times a weight in panels and scale, plus bias and ``added`` (count, outputs); 0 for none.

    ``code`` is like a pair of the weight: uint32 for bfloat16, uint16 for eight bits.
    """
    x, weight = _pairs(x, count * inputs, uint32(0)), _pairs(weight, inputs * outputs, code)
    scale, bias, added = _numbers(scale, outputs), _numbers(bias, outputs), _numbers(added, count * outputs)
    out = array(out, uint16(0), (count * outputs,))
    spread(team, threads, _product_part, (x, weight, scale, bias, added, out, count, inputs, _NOTHING))


@inner()
def _pairs(address, numbers, like):
    return array(address, like, (numbers // 2,))


@inner()
def _numbers(address, count):
    return array(address, uint16(0), (count if address else 0,))


@inner()
def _product_part(x, weight, scale, bias, added, out, count, inputs, then, part, parts):
    panels = len(weight) // (inputs // 2 * COLUMNS)
    first, stop = panels * part // parts, panels * (part + 1) // parts
    apart(_panels, (x, weight, scale, bias, added, out, count, inputs // 2, first, stop, then))


@inner()
def _panels(x, weight, scale, bias, added, out, count, pairs, first, stop, then):
    """Panels ``first`` to ``stop``; while the last is worked on, what lies from ``then`` on is fetched from memory."""
    size, stride = pairs * COLUMNS, len(out) // count
    share = COLUMNS // ((count + ROWS - 1) // ROWS)
    for panel in range(first, stop):
        ahead = (panel + 1) * size if panel + 1 < stop else then
        for row in range(0, count, ROWS):
            n = min(ROWS, count - row)
            column = panel * COLUMNS
            x_at, out_at = row * pairs, row * stride + column
            given = weight, panel * size, pairs, scale, bias, column, added, out, out_at, stride, ahead, share
            tile(n, x, x_at, *given)
            ahead += pairs * share


@compiled()
def run(team, threads, code, weights, cached, adapters, slots, places, shape, eps, softcap, rooms, sizes):
    """weights (layers, FIELDS) are in panels as ``product`` takes them, cached (layers, 2) addresses of keys and values
    of ``shape``, adapters (layers, 4, LORA_FIELDS) or no layers, slots (count,) as ``kernels.lora`` takes it, places as
    ``kernels.attend`` does.
    """
    given = team, code, weights, cached, adapters, slots, places, shape, eps, softcap, rooms, sizes
    spread(team, threads, _run_part, given)


@inner()
def _run_part(team, code, weights, cached, adapters, slots, places, shape, eps, softcap, rooms, sizes, part, parts):
    hidden, inner = sizes.hidden, sizes.inner
    attended, wide = sizes.heads * sizes.head_dim, (sizes.heads + 2 * sizes.kv) * sizes.head_dim
    for layer in range(len(weights)):
        w, lora = weights[layer], adapters[layer * (len(adapters) > 0) :][:1]
        _norm_rows(team, rooms.x, w[_NORM], eps, rooms.normed, sizes.count, hidden, part, parts)
        qkv = rooms.normed, w[_QKV], w[_QKV_SCALE], w[_QKV_BIAS], _NOTHING, rooms.qkv, hidden, wide
        _linear(team, code, qkv, (w[_O], attended, hidden), lora, _OF_QKV, slots, sizes, part, parts)
        _rotate(w, cached[layer], places, shape, eps, rooms, sizes, part, parts)
        meet(team, parts)
        _attend(w, cached[layer], places, shape, softcap, rooms, sizes, part, parts)
        meet(team, parts)
        o = rooms.seen, w[_O], w[_O_SCALE], w[_O_BIAS], rooms.x, rooms.x, attended, hidden
        _linear(team, code, o, (w[_GATE_UP], hidden, inner), lora, _OF_O, slots, sizes, part, parts)
        _norm_rows(team, rooms.x, w[_MLP_NORM], eps, rooms.normed, sizes.count, hidden, part, parts)
        _unit(team, code, w, lora, slots, rooms, sizes, part, parts)
        down = rooms.gated, w[_DOWN], w[_DOWN_SCALE], w[_DOWN_BIAS], rooms.x, rooms.x, inner, hidden
        after = weights[min(layer + 1, len(weights) - 1), _QKV], hidden, wide
        _linear(team, code, down, after, lora, _OF_DOWN, slots, sizes, part, parts)


@inner()
def _norm_rows(team, x, weight, eps, out, count, size, part, parts):
    x, weight, out = _numbers(x, count * size), _numbers(weight, size), _numbers(out, count * size)
    for row in range(count * part // parts, count * (part + 1) // parts):
        normed(x[row * size : (row + 1) * size], weight, float32(eps), out[row * size : (row + 1) * size])
    meet(team, parts)


@inner()
def _linear(team, code, given, after, lora, which, slots, sizes, part, parts):
    """A product, and what the rows' adapters add; ``after`` are address, inputs and outputs of the next weight."""
    x, weight, scale, bias, added, out, inputs, outputs = given
    count = sizes.count
    scale, bias, added = _numbers(scale, outputs), _numbers(bias, outputs), _numbers(added, count * outputs)
    rows, pairs = _pairs(x, count * inputs, uint32(0)), _pairs(weight, inputs * outputs, code)
    sums = _numbers(out, count * outputs)
    then = _from(weight, after, sizes, part, parts)
    _product_part(rows, pairs, scale, bias, added, sums, count, inputs, then, part, parts)
    meet(team, parts)
    if len(lora) and lora[0, which, _WIDTH]:
        _adapt(lora[0, which], slots, x, out, inputs, outputs, sizes, part, parts)
        meet(team, parts)


@inner()
def _from(weight, after, sizes, part, parts):
    """Where this thread's part of the next weight begins, counted in pairs from the beginning of this one."""
    address, inputs, outputs = after
    first = outputs // COLUMNS * part // parts
    return (address - weight) // sizes.pair + first * (inputs // 2 * COLUMNS)


@inner()
def _unit(team, code, w, lora, slots, rooms, sizes, part, parts):
    """The gated unit: each thread multiplies what it needs of both halves."""
    count, inputs, inner = sizes.count, sizes.hidden, sizes.inner
    size, panels = inputs // 2 * COLUMNS, inner // COLUMNS
    first, stop = panels * part // parts, panels * (part + 1) // parts
    x, weight = _pairs(rooms.normed, count * inputs, uint32(0)), _pairs(w[_GATE_UP], 2 * inner * inputs, code)
    scale, bias = _numbers(w[_GATE_UP_SCALE], 2 * inner), _numbers(w[_GATE_UP_BIAS], 2 * inner)
    nothing = _numbers(0, 0)
    out = _numbers(rooms.gate_up, 2 * count * inner)
    up = (panels + first) * size
    apart(_panels, (x, weight, scale, bias, nothing, out, count, inputs // 2, first, stop, up))
    down = _from(w[_GATE_UP], (w[_DOWN], inner, inputs), sizes, part, parts)
    apart(_panels, (x, weight, scale, bias, nothing, out, count, inputs // 2, panels + first, panels + stop, down))
    if len(lora) and lora[0, _OF_GATE_UP, _WIDTH]:
        meet(team, parts)
        adapters = lora[0, _OF_GATE_UP]
        _adapt(adapters, slots, rooms.normed, rooms.gate_up, inputs, 2 * inner, sizes, part, parts)
        meet(team, parts)
    _gate(rooms.gate_up, rooms.gated, count, inner, first * COLUMNS, stop * COLUMNS)
    meet(team, parts)


@inner(inline="always")
def _adapt(lora, slots, x, y, inputs, outputs, sizes, part, parts):
    like, code, parts_of, width, room = uint16(0), int8(0), lora[_PARTS], lora[_WIDTH], lora[_SLOTS]
    x, y = array(x, like, (sizes.count, inputs)), array(y, like, (sizes.count, outputs))
    a, factors = array(lora[_A], code, (room, width, inputs)), array(lora[_FACTORS], float32(0), (room, width))
    ups, spans = array(lora[_UPS], int64(0), (parts_of,)), array(lora[_SPANS], int64(0), (parts_of, 2))
    lora_part(code, x, a, ups, factors, slots, spans, y, part, parts)


@inner()
def _rotate(w, cached, places, shape, eps, rooms, sizes, part, parts):
    """Queries and keys normed, where the layer does that, and turned; keys and values into their blocks."""
    blocks, owners, positions = places
    like, d = uint16(0), sizes.head_dim
    qkv = array(rooms.qkv, like, (sizes.count, sizes.heads + 2 * sizes.kv, d))
    cos, sin = array(rooms.cos, like, (sizes.count, sizes.turned)), array(rooms.sin, like, (sizes.count, sizes.turned))
    keys, values = paired(cached[0], cached[1], shape)
    q_norm, k_norm = _numbers(w[_Q_NORM], d), _numbers(w[_K_NORM], d)
    plain, before = np.empty(d, np.uint16), np.empty(d, np.uint16)
    for row in range(sizes.count * part // parts, sizes.count * (part + 1) // parts):
        for head in range(sizes.heads + sizes.kv):
            of_query = head < sizes.heads
            norm = q_norm if of_query else k_norm
            if len(norm):
                normed(qkv[row, head], norm, float32(eps), before)
            else:
                copy(qkv[row, head], before)
            if w[_ROTATED]:
                turn(before, cos[row], sin[row], plain)
            else:
                copy(before, plain)
            if of_query:
                copy(plain, qkv[row, head])
            else:
                keep_key(plain, keys, blocks, owners, positions, row, head - sizes.heads)
        for head in range(sizes.kv):
            value = qkv[row, sizes.heads + sizes.kv + head]
            keep_value(value, values, blocks, owners, positions, row, head)


@inner(inline="always")
def _attend(w, cached, places, shape, softcap, rooms, sizes, part, parts):
    blocks, owners, positions = places
    like, d = uint16(0), sizes.head_dim
    qkv = array(rooms.qkv, like, (sizes.count, sizes.heads + 2 * sizes.kv, d))
    out = array(rooms.seen, like, (sizes.count, sizes.heads, d))
    keys, values = paired(cached[0], cached[1], shape)
    attend_part(qkv, keys, values, blocks, owners, positions, w[_WINDOW], softcap, out, part, parts)


@inner(inline="always")
def _gate(gate_up, out, count, inner, first, stop):
    """Columns ``first`` to ``stop``."""
    gate_up, out = _numbers(gate_up, 2 * count * inner), _numbers(out, count * inner)
    for row in range(count):
        at = 2 * row * inner
        gate, up = gate_up[at + first : at + stop], gate_up[at + inner + first : at + inner + stop]
        gated(gate, up, out[row * inner + first : row * inner + stop])
