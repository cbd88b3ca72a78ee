"""Products of bfloat16 rows with a weight laid out in panels, bfloat16 or eight bits, by AVX-512's own instruction.

A *panel* is the weights of ``COLUMNS`` outputs: of every two inputs in turn a pair for each output, the four bytes that
one instruction multiplies and adds to a float32 sum. A *tile* is the sums of a few rows for a panel, which stay in
registers; its weights are read once for all its rows. Every sum is over the inputs in order, whatever rows are beside
it, and rounded once. Knows no loops over rows or panels.
"""

import itertools
from typing import Any, NamedTuple

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core import cgutils, config
from numba.extending import intrinsic

from hypotez.nn.lanes import LANES, cases, each, fetch, filled, load, plus, splat, start, times

COLUMNS = 32  # outputs of a panel; most weights have a multiple of it, and two threads an even share
ROWS = 8  # of a tile at most: 16 registers of sums, enough to hide the time that one instruction takes
_REGISTERS = COLUMNS // LANES
_LINE = 16  # pairs in a line of the cache
_I32, _FLOAT = ir.IntType(32), ir.FloatType()
PAIRS, SUMS = ir.VectorType(_I32, LANES), ir.VectorType(_FLOAT, LANES)
_MULTIPLY = "llvm.x86.avx512bf16.dpbf16ps.512"


class _Bfloat(ir.Type):  # type: ignore[misc]
    """llvmlite has no name for it."""

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Bfloat)

    def __hash__(self) -> int:
        return hash(_Bfloat)


FACTORS, _HALVES = ir.VectorType(_Bfloat(), 2 * LANES), ir.VectorType(_Bfloat(), LANES)


def usable() -> bool:
    """Whether the processor has the instruction, and no better one: AMX is left to oneDNN."""
    if config.CPU_NAME or config.CPU_FEATURES:  # type: ignore[attr-defined]  # told of another processor
        return False
    try:
        has = llvmlite.binding.get_host_cpu_features()
    except RuntimeError:  # not known for this kind of processor
        return False
    return bool(has.get("avx512bf16")) and not has.get("amx-bf16")


@intrinsic
def tile(
    typing_context: Any,
    rows: Any,
    x: Any,
    x_at: Any,
    weight: Any,
    weight_at: Any,
    pairs: Any,
    scale: Any,
    bias: Any,
    column: Any,
    added: Any,
    out: Any,
    out_at: Any,
    stride: Any,
    ahead: Any,
    share: Any,
) -> Any:
    """``out[i] = round(x[i] @ panel * scale + bias + added[i])`` for i < rows, 1 to ``ROWS``.

    x is uint32, a pair of bfloat16 each, and weight likewise, or uint16, a pair of eight-bit codes: row i of x starts
    at ``x_at + i * pairs``, the panel (pairs, COLUMNS) at ``weight_at``. scale, bias, added and out are bfloat16 as
    uint16; the first three may have no elements. The panel's outputs are from ``column`` on in scale and bias; those of
    row i start at ``out_at + i * stride`` in ``out`` and in ``added``.

    While it works, ``share`` pairs of the weight for each of its own are fetched from memory, from ``ahead`` on: the
    tiles of a panel share what comes after it, and one that is alone takes all of it, ``COLUMNS``. A single row takes
    nothing: it is done before more memory could come.
    """
    size = types.intp
    kinds = (size, x, size, weight, size, size, scale, bias, size, added, out, size, size, size, size)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        arrays = (start(context, builder, signature, values, i) for i in (1, 3, 6, 7, 9, 10))
        has = (filled(context, builder, signature, values, i) for i in (6, 7, 9))
        places = (values[i] for i in (2, 4, 5, 8, 11, 12, 13, 14))
        given = _Given._make((*arrays, *places, *has, weight.dtype == types.uint16))
        all_lines = 1 if given.codes else 2  # of the cache for a pair of inputs
        share = values[14]
        for n in cases(builder, values[0], ROWS):
            if n < ROWS:  # few enough that fetching a line twice costs nothing, among others
                _write(builder, n, all_lines if n > 1 else 0, given)
                continue
            whole = builder.icmp_signed("==", share, ir.Constant(share.type, COLUMNS))
            with builder.if_else(whole) as (alone, among):
                with alone:
                    _write(builder, n, all_lines, given)
                with among:
                    _write(builder, n, 1, given)
        return context.get_dummy_value()

    return types.void(*kinds), generate


class _Given(NamedTuple):
    """The values that a tile is called with, as LLVM has them."""

    x: Any
    weight: Any
    scale: Any
    bias: Any
    added: Any
    out: Any
    x_at: Any
    weight_at: Any
    pairs: Any
    column: Any
    out_at: Any
    stride: Any
    ahead: Any
    share: Any
    has_scale: Any
    has_bias: Any
    has_added: Any
    codes: bool


def multiply(builder: Any, total: Any, one: Any, other: Any) -> Any:
    """The sixteen sums with sixteen times two products added."""
    kind = ir.FunctionType(SUMS, [SUMS, FACTORS, FACTORS])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, _MULTIPLY), [total, one, other])


def factors(builder: Any, first: Any, index: Any) -> Any:
    """Sixteen pairs from an array."""
    return builder.load(builder.bitcast(builder.gep(first, [index]), FACTORS.as_pointer()), align=4)


def pair(builder: Any, first: Any, index: Any) -> Any:
    """One pair from an array, sixteen times."""
    place = builder.bitcast(builder.gep(first, [index]), _I32.as_pointer())
    return builder.bitcast(splat(builder, builder.load(place, align=4), PAIRS), FACTORS)


def _write(builder: Any, rows: int, lines: int, given: _Given) -> None:
    """The code of a tile of so many rows that fetches ``lines`` lines of the cache with every pair."""
    sums = [[cgutils.alloca_once(builder, SUMS) for _ in range(_REGISTERS)] for _ in range(rows)]

    for total in itertools.chain(*sums):
        builder.store(ir.Constant(SUMS, [0.0] * LANES), total)

    with each(builder, given.pairs) as k:
        place = builder.add(given.weight_at, times(builder, k, COLUMNS))
        read = _codes if given.codes else factors
        panel = [read(builder, given.weight, plus(builder, place, c * LANES)) for c in range(_REGISTERS)]
        for line in range(lines):
            wanted = builder.add(given.ahead, builder.mul(k, given.share))
            fetch(builder, given.weight, plus(builder, wanted, line * _LINE), near=2)
        for i, row in enumerate(sums):
            place = builder.add(builder.add(given.x_at, times(builder, given.pairs, i)), k)
            inputs = pair(builder, given.x, place)
            for total, weights in zip(row, panel, strict=True):
                builder.store(multiply(builder, builder.load(total), inputs, weights), total)

    places = [builder.add(given.out_at, times(builder, given.stride, i)) for i in range(rows)]
    with builder.if_then(given.has_scale):
        _each_by(builder, sums, builder.fmul, given.scale, [given.column] * rows)
    with builder.if_then(given.has_bias):
        _each_by(builder, sums, builder.fadd, given.bias, [given.column] * rows)
    with builder.if_then(given.has_added):
        _each_by(builder, sums, builder.fadd, given.added, places)
    for place, row in zip(places, sums, strict=True):
        for c, total in enumerate(row):
            rounded = builder.fptrunc(builder.load(total), _HALVES)
            where = builder.gep(given.out, [plus(builder, place, c * LANES)])
            builder.store(rounded, builder.bitcast(where, _HALVES.as_pointer()), align=2)


def _each_by(builder: Any, sums: Any, operation: Any, first: Any, places: Any) -> None:
    """Add or multiply each row of sums by what lies at its place in an array."""
    for place, row in zip(places, sums, strict=True):
        for c, total in enumerate(row):
            other = load(builder, first, plus(builder, place, c * LANES), types.uint16)
            builder.store(operation(builder.load(total), other), total)


def _codes(builder: Any, first: Any, index: Any) -> Any:
    """Sixteen pairs of eight-bit codes as bfloat16, which holds them exactly."""
    bytes_ = ir.VectorType(ir.IntType(8), 2 * LANES)
    codes = builder.load(builder.bitcast(builder.gep(first, [index]), bytes_.as_pointer()), align=2)
    return builder.fptrunc(builder.sitofp(codes, ir.VectorType(_FLOAT, 2 * LANES)), FACTORS)
