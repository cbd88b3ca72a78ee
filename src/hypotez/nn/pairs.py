"""Attention's products in bfloat16, by the instruction that ``tiles`` uses, for keys and values laid out for it.

Keys lie as pairs of dimensions, sixteen keys side by side: their sixteen scores are sixteen lanes, and nothing is
summed across lanes. Values lie as pairs of keys, dimension by dimension. All arrays are bfloat16 as uint16 and taken
flat, all places are in numbers; sums are float32, in an order that depends on the sizes only. Knows no loops over keys.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from hypotez.nn.lanes import LANES, cases, each, fetch, plus, splat, start, times
from hypotez.nn.tiles import SUMS, factors, multiply, pair

QUERIES = 4  # that attend together at most
_APART = 4  # sums of one score that do not wait for each other
_WIDE = 64  # dimensions whose sums stay in registers


@intrinsic
def score(
    typing_context: Any,
    queries: Any,
    q: Any,
    q_at: Any,
    keys: Any,
    at: Any,
    values: Any,
    then: Any,
    size: Any,
    d: Any,
    scale: Any,
    scores: Any,
    column: Any,
    stride: Any,
) -> Any:
    """``scores[j * stride + column + p] = scale * q[q_at + j * d:][:d] . key p`` for j < queries and sixteen keys p.

    The keys are in a block of ``size``, (d / 2, size, 2) from ``at`` less the first key's place on. scores and scale
    are float32. While it works, as many numbers of ``values`` are fetched from memory, from ``then`` on.
    """
    intp = types.intp
    kinds = intp, q, intp, keys, intp, values, intp, intp, intp, types.float32, scores, intp, intp

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        starts = (start(context, builder, signature, given, i) for i in (1, 3, 5, 10))
        q_start, keys_start, values_start, scores_start = starts
        q_at, at, then, size, d, scale, column, stride = (given[i] for i in (2, 4, 6, 7, 8, 9, 11, 12))
        line = times(builder, size, 2)
        for n in cases(builder, given[0], QUERIES):
            sums = [[cgutils.alloca_once(builder, SUMS) for _ in range(_APART)] for _ in range(n)]
            for total in (total for row in sums for total in row):
                builder.store(ir.Constant(SUMS, [0.0] * LANES), total)
            with each(builder, d, 2 * _APART) as i:  # i and i + 1 are the first pair of dimensions
                for u in range(_APART):
                    first = plus(builder, i, 2 * u)
                    offset = builder.mul(builder.sdiv(first, ir.Constant(d.type, 2)), line)
                    fetch(builder, values_start, builder.add(then, times(builder, first, LANES)))
                    key = factors(builder, keys_start, builder.add(at, offset))
                    for j, row in enumerate(sums):
                        place = builder.add(builder.add(q_at, times(builder, d, j)), first)
                        query = pair(builder, q_start, place)
                        builder.store(multiply(builder, builder.load(row[u]), query, key), row[u])
            for j, row in enumerate(sums):
                a, b, c, e = (builder.load(total) for total in row)
                total = builder.fadd(builder.fadd(a, b), builder.fadd(c, e))
                place = builder.add(times(builder, stride, j), column)
                where = builder.bitcast(builder.gep(scores_start, [place]), SUMS.as_pointer())
                builder.store(builder.fmul(total, splat(builder, scale, SUMS)), where, align=4)
        return context.get_dummy_value()

    return types.void(*kinds), generate


@intrinsic
def weigh_pairs(
    typing_context: Any,
    queries: Any,
    weights: Any,
    column: Any,
    stride: Any,
    pairs: Any,
    value: Any,
    at: Any,
    keys: Any,
    then: Any,
    size: Any,
    d: Any,
    out: Any,
) -> Any:
    """``out[j * d:][:d] += weights[j * stride + column + p] * value p`` for j < queries and p < 2 * pairs.

    The values are (pairs, d, 2) from ``at`` on; out is float32. While it works, as many ``keys`` of a block of ``size``
    are fetched from memory, from ``then`` on.
    """
    intp = types.intp

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        starts = (start(context, builder, signature, given, i) for i in (1, 5, 7, 11))
        weights_start, value_start, keys_start, out_start = starts
        column, stride, pairs, at, then, size, d = (given[i] for i in (2, 3, 4, 6, 8, 9, 10))
        lines = builder.sdiv(d, ir.Constant(d.type, LANES))  # of the cache, for a pair of keys
        line, step = times(builder, d, 2), times(builder, size, 2)

        def some(n: int, first: Any, registers: int) -> None:
            """The sums of dimensions ``first`` to ``first + 16 registers``."""
            sums = [[cgutils.alloca_once(builder, SUMS) for _ in range(registers)] for _ in range(n)]
            places = [
                [builder.add(times(builder, d, j), plus(builder, first, c * LANES)) for c in range(registers)]
                for j in range(n)
            ]
            wheres = [[builder.bitcast(builder.gep(out_start, [p]), SUMS.as_pointer()) for p in row] for row in places]
            for row, where in zip(sums, wheres, strict=True):
                for total, place in zip(row, where, strict=True):
                    builder.store(builder.load(place, align=4), total)
            with each(builder, pairs) as p:
                offset = builder.add(builder.mul(p, line), times(builder, first, 2))
                ahead = builder.add(builder.mul(p, lines), builder.sdiv(first, ir.Constant(d.type, LANES)))
                seen = []
                for c in range(registers):
                    fetch(builder, keys_start, builder.add(then, builder.mul(plus(builder, ahead, c), step)))
                    seen.append(factors(builder, value_start, builder.add(at, plus(builder, offset, 2 * c * LANES))))
                for j, row in enumerate(sums):
                    place = builder.add(builder.add(times(builder, stride, j), column), times(builder, p, 2))
                    weight = pair(builder, weights_start, place)
                    for total, value in zip(row, seen, strict=True):
                        builder.store(multiply(builder, builder.load(total), weight, value), total)
            for row, where in zip(sums, wheres, strict=True):
                for total, place in zip(row, where, strict=True):
                    builder.store(builder.load(total), place, align=4)

        rest = builder.srem(d, ir.Constant(d.type, _WIDE))
        wide = builder.sub(d, rest)
        for n in cases(builder, given[0], QUERIES):
            with each(builder, wide, _WIDE) as i:
                some(n, i, _WIDE // LANES)
            with each(builder, rest, LANES) as i:
                some(n, builder.add(wide, i), 1)
        return context.get_dummy_value()

    kinds = intp, weights, intp, intp, intp, value, intp, keys, intp, intp, intp, out
    return types.void(*kinds), generate
