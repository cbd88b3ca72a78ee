"""Products sixteen numbers at a time, for loops that numba compiles: attention's, and those of rounded weights.

numba cannot be told how to use vector registers, so these write LLVM's code themselves; LLVM makes of sixteen lanes
what the processor has (one AVX-512 register, two of AVX2, four of NEON). The order of every sum depends on nothing but
the sizes. Elements are float32, bfloat16 as uint16, or codes of eight bits; sums are float32.
"""

import itertools
from collections.abc import Iterator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

LANES = 16
ROWS = 4  # of queries that are multiplied together at most
_KEYS = 4  # multiplied at once by a query: sums that do not wait for each other
_FLOAT = ir.FloatType()
_VECTOR = ir.VectorType(_FLOAT, LANES)
_BITS = ir.VectorType(ir.IntType(32), LANES)
_ZEROS = ir.Constant(_VECTOR, [0.0] * LANES)


@intrinsic
def dots(
    typing_context: Any,
    rows: Any,
    q: Any,
    keys: Any,
    at: Any,
    then: Any,
    count: Any,
    d: Any,
    scores: Any,
    column: Any,
    stride: Any,
) -> Any:
    """``scores[j * stride + column + p] = q[j] . keys[at + p * d:][:d]`` for p < count, j < rows (1 to ``ROWS``).

    q (rows, d) is float32 and d a multiple of ``LANES``; ``keys`` and ``scores`` are taken flat, and all are
    contiguous. While it works, the ``count * d`` keys from ``then`` on are fetched from memory.
    """
    size = types.intp

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        at, then, count, d, column, stride = (values[i] for i in (3, 4, 5, 6, 8, 9))
        q_start, keys_start, scores_start = (start(context, builder, signature, values, i) for i in (1, 2, 7))

        def several(p: Any, sums: list[list[Any]]) -> None:
            """The products of as many keys from p on: each number of q is loaded once for all of them."""
            columns = [plus(builder, p, k) for k in range(len(sums))]
            places = [builder.mul(column, d) for column in columns]
            for total in itertools.chain(*sums):
                builder.store(_ZEROS, total)
            with each(builder, d, LANES) as i:
                for place, totals in zip(places, sums, strict=True):
                    fetch(builder, keys_start, builder.add(builder.add(then, place), i))
                    key = load(builder, keys_start, builder.add(builder.add(at, place), i), keys.dtype)
                    for j, total in enumerate(totals):
                        query = load(builder, q_start, builder.add(times(builder, d, j), i), q.dtype)
                        builder.store(_multiplied(builder, query, key, builder.load(total)), total)
            for at_column, totals in zip(columns, sums, strict=True):
                for j, total in enumerate(totals):
                    place = builder.add(builder.add(times(builder, stride, j), column), at_column)
                    builder.store(_summed(builder, builder.load(total)), builder.gep(scores_start, [place]))

        rest = builder.srem(count, ir.Constant(count.type, _KEYS))
        for n in cases(builder, values[0], ROWS):
            sums = [[cgutils.alloca_once(builder, _VECTOR) for _ in range(n)] for _ in range(_KEYS)]
            with each(builder, builder.sub(count, rest), _KEYS) as p:
                several(p, sums)
            with each(builder, rest) as p:
                several(builder.add(builder.sub(count, rest), p), sums[:1])
        return context.get_dummy_value()

    return types.void(size, q, keys, size, size, size, size, scores, size, size), generate


@intrinsic
def weigh(
    typing_context: Any,
    rows: Any,
    weights: Any,
    column: Any,
    stride: Any,
    count: Any,
    value: Any,
    at: Any,
    then: Any,
    d: Any,
    out: Any,
) -> Any:
    """``out[j] += weights[j * stride + column + p] * value[at + p * d:][:d]`` for p < count, j < rows (1 to ``ROWS``).

    out (rows, d) is float32; the rest as in ``dots``.
    """
    size = types.intp

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        column, stride, count, at, then, d = (values[i] for i in (2, 3, 4, 6, 7, 8))
        weights_start, value_start, out_start = (start(context, builder, signature, values, i) for i in (1, 5, 9))
        for n in cases(builder, values[0], ROWS):
            sums = [cgutils.alloca_once(builder, _VECTOR) for _ in range(n)]
            with each(builder, d, LANES) as i:
                places = [builder.add(times(builder, d, j), i) for j in range(n)]
                for place, total in zip(places, sums, strict=True):
                    builder.store(load(builder, out_start, place, out.dtype), total)
                with each(builder, count) as p:
                    row, next_row = (builder.add(builder.add(first, i), builder.mul(p, d)) for first in (at, then))
                    fetch(builder, value_start, next_row)
                    seen = load(builder, value_start, row, value.dtype)
                    for j, total in enumerate(sums):
                        place = builder.add(builder.add(times(builder, stride, j), column), p)
                        weight = splat(builder, builder.load(builder.gep(weights_start, [place])), _VECTOR)
                        builder.store(_multiplied(builder, weight, seen, builder.load(total)), total)
                for place, total in zip(places, sums, strict=True):
                    _store(builder, out_start, place, builder.load(total))
        return context.get_dummy_value()

    return types.void(size, weights, size, size, size, value, size, size, size, out), generate


class each:
    """``for i in range(0, stop, step)``, step at least 1."""

    def __init__(self, builder: Any, stop: Any, step: int = 1) -> None:
        zero, by = ir.Constant(stop.type, 0), ir.Constant(stop.type, step)
        self._loop = cgutils.for_range_slice(builder, zero, stop, by, stop.type)

    def __enter__(self) -> Any:
        return self._loop.__enter__()[0]

    def __exit__(self, *exc: Any) -> None:
        self._loop.__exit__(*exc)


def start(context: Any, builder: Any, signature: Any, values: Any, i: int) -> Any:
    return make_array(signature.args[i])(context, builder, values[i]).data


def filled(context: Any, builder: Any, signature: Any, values: Any, i: int) -> Any:
    """Whether the array has elements."""
    count = make_array(signature.args[i])(context, builder, values[i]).nitems
    return builder.icmp_signed(">", count, ir.Constant(count.type, 0))


def load(builder: Any, start: Any, index: Any, element: Any) -> Any:
    """Sixteen elements of an array from ``index`` on, as float32."""
    place = builder.gep(start, [index])
    if element == types.uint16:
        halves = ir.VectorType(ir.IntType(16), LANES)
        bits = builder.zext(builder.load(builder.bitcast(place, halves.as_pointer()), align=2), _BITS)
        return builder.bitcast(builder.shl(bits, ir.Constant(_BITS, [16] * LANES)), _VECTOR)
    if element == types.int8:
        bytes_ = ir.VectorType(ir.IntType(8), LANES)
        codes = builder.load(builder.bitcast(place, bytes_.as_pointer()), align=1)
        return builder.sitofp(builder.sext(codes, _BITS), _VECTOR)
    return builder.load(builder.bitcast(place, _VECTOR.as_pointer()), align=4)


def fetch(builder: Any, start: Any, index: Any, near: int = 3) -> None:
    """Ask for memory that is wanted soon; ``near`` 3 is into the nearest cache, 2 into the one behind it."""
    pointer, i32 = ir.IntType(8).as_pointer(), ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [pointer, i32, i32, i32])
    prefetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    builder.call(prefetch, [builder.bitcast(builder.gep(start, [index]), pointer), i32(0), i32(near), i32(1)])


def _store(builder: Any, start: Any, index: Any, vector: Any) -> None:
    builder.store(vector, builder.bitcast(builder.gep(start, [index]), _VECTOR.as_pointer()), align=4)


def splat(builder: Any, number: Any, kind: Any) -> Any:
    """The number in all lanes of a vector of this kind."""
    nothing = ir.Constant(kind, ir.Undefined)
    one = builder.insert_element(nothing, number, ir.IntType(32)(0))
    return builder.shuffle_vector(one, nothing, ir.Constant(_BITS, [0] * LANES))


def _multiplied(builder: Any, a: Any, b: Any, plus: Any) -> Any:
    """a * b + plus, in one instruction where the processor has it."""
    return builder.fadd(builder.fmul(a, b, flags=("contract",)), plus, flags=("contract",))


def _summed(builder: Any, vector: Any) -> Any:
    kind = ir.FunctionType(_FLOAT, [_FLOAT, _VECTOR])
    reduce = cgutils.get_or_insert_function(builder.module, kind, f"llvm.vector.reduce.fadd.v{LANES}f32")
    return builder.call(reduce, [_FLOAT(0.0), vector], fastmath=("reassoc",))


def cases(builder: Any, number: Any, most: int) -> Iterator[int]:
    """Code for each ``number`` from 1 to ``most``: what is built while it is at one runs for that number."""
    done = builder.append_basic_block("done")
    switch = builder.switch(number, done)
    for n in range(1, most + 1):
        block = builder.append_basic_block(f"case{n}")
        switch.add_case(ir.Constant(number.type, n), block)
        builder.position_at_end(block)
        yield n
        builder.branch(done)
    builder.position_at_end(done)


def plus(builder: Any, number: Any, more: int) -> Any:
    return builder.add(number, ir.Constant(number.type, more))


def times(builder: Any, number: Any, factor: int) -> Any:
    return builder.mul(number, ir.Constant(number.type, factor))
