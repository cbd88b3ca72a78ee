"""Loops compiled by numba, run by torch's own threads. Knows no tensor and no model.

torch's matmuls keep a team of OpenMP threads awake; a second pool would fight with it for the same cores. ``spread``
hands a part of a loop to each thread of that team (``GOMP_parallel``, the entry point every ``#pragma omp parallel``
compiles to), in about two microseconds. Where torch was built on another runtime, one thread does all parts.
"""

import ctypes
import fcntl
import itertools
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import numba
import torch
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

# addresses: GOMP_parallel, omp_get_thread_num, omp_get_num_threads, GOMP_barrier
Team = tuple[int, int, int, int]

# What is compiled into one another. numba looks only at the file of the function that is called.
_SOURCES = (
    *("native", "lanes", "tiles", "pairs", "loops", "loops_back"),
    *("attend_loops", "product_loops", "paired_loops", "stack_loops"),
)

_HOW: dict[str, Any] = {"nogil": True, "fastmath": True, "error_model": "numpy"}
_names = itertools.count()

log = logging.getLogger(__name__)


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """``numba.njit`` without Python's lock, kept on disk where there is a folder to keep it in."""
    options |= _HOW

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            kept = numba.njit(cache=True, **options)(function)
        except RuntimeError:  # no folder that can be written to: compiled anew by each process
            return numba.njit(**options)(function)
        file = kept._cache._cache_file  # numba has no public place for this
        file._source_stamp = (file._source_stamp, *_stamps())
        return kept

    return decorate


def inner(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """The same for what only compiled functions call: it goes into theirs, and is not kept by itself."""
    how = _HOW | {"no_cpython_wrapper": True, "no_cfunc_wrapper": True} | options

    def decorate(function: Callable[..., Any]) -> Any:
        return numba.njit(**how)(function)

    return decorate


@cache
def _stamps() -> tuple[tuple[int, int], ...]:
    """What changes when one of the files does whose functions are compiled into those of another."""
    found = [Path(__file__).with_name(f"{name}.py").stat() for name in _SOURCES]
    return tuple((stat.st_mtime_ns, stat.st_size) for stat in found)


class Guarded:
    """A compiled function whose first call, for each kind of numbers, is made while no other process makes one.

    numba keeps what it compiled in files numbered by what each process found in the folder: of two that compile at
    once for different types, one may be given the other's code. The rest wait and find theirs on disk.
    """

    def __init__(self, function: Any, seconds: int = 0) -> None:
        """``seconds`` that compiling takes, where they are so many that whoever waits should be told."""
        self._function, self._seconds = function, seconds
        self._known: set[object] = set()

    def __call__(self, kind: object, *arguments: Any) -> None:
        """``kind`` stands for the types of the arguments: equal ones have equal types."""
        if kind in self._known:
            self._function(*arguments)
            return
        folder = self._function.stats.cache_path
        with _alone(folder):
            if self._seconds and not (folder and list(Path(folder).glob(f"*.{self._function.__name__}-*.nbi"))):
                log.warning("Compiling for this processor, some %d seconds, once after installing.", self._seconds)
            self._function(*arguments)
        self._known.add(kind)


@contextmanager
def _alone(folder: str | None) -> Iterator[None]:
    """One process at a time, as far as the folder can be written to."""
    if folder is None:
        yield
        return
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        lock = (Path(folder) / "compiling.lock").open("a")
    except OSError:  # nothing is kept there, then
        yield
        return
    with lock:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@cache
def team() -> Team | None:
    """Addresses in the OpenMP runtime that torch has loaded; None where it is not GNU's."""
    try:
        loaded = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "/libgomp" in line}
    except OSError:
        return None
    site = str(Path(torch.__file__).parent.parent)
    ours = sorted(path for path in loaded if path.startswith((f"{site}/torch/", f"{site}/torch.libs/"))) or sorted(
        loaded
    )
    if len(ours) != 1:  # several runtimes: no telling which one is torch's
        return None
    runtime = ctypes.CDLL(ours[0])
    names = ("GOMP_parallel", "omp_get_thread_num", "omp_get_num_threads", "GOMP_barrier")
    parallel, number, count, barrier = (
        ctypes.cast(getattr(runtime, name), ctypes.c_void_p).value or 0 for name in names
    )
    return parallel, number, count, barrier


@intrinsic
def spread(typing_context: Any, team: Any, threads: Any, part: Any, arguments: Any) -> Any:
    """Call ``part(*arguments, k, n)`` for every k below n at once, n at most ``threads``, and wait for all.

    ``part`` is compiled, returns nothing and raises nothing; ``team`` is what the function of that name says, and
    not looked at for one thread.
    """
    called_with = (*arguments.types, types.intp, types.intp)
    inner = part.get_call_type(typing_context, called_with, {})

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        team_value, threads_value, _, arguments_value = values
        result = part.dispatcher.get_compile_result(inner)
        context.active_code_library.add_linking_library(result.library)
        i8p, i32, size = ir.IntType(8).as_pointer(), ir.IntType(32), threads_value.type
        kept = arguments_value, threads_value, *(builder.extract_value(team_value, i) for i in (1, 2))
        shared = ir.LiteralStructType([value.type for value in kept])

        name = f"{builder.function.name}.part{next(_names)}"
        outlined = ir.Function(builder.module, ir.FunctionType(ir.VoidType(), [i8p]), name)
        outlined.linkage = "internal"
        body = ir.IRBuilder(outlined.append_basic_block())
        record = body.bitcast(outlined.args[0], shared.as_pointer())
        given, many, *asked = (body.load(cgutils.gep_inbounds(body, record, 0, i)) for i in range(4))
        which = [cgutils.alloca_once_value(body, ir.Constant(size, alone)) for alone in (0, 1)]
        with body.if_then(body.icmp_signed(">", many, ir.Constant(size, 1))):
            counter = ir.FunctionType(i32, []).as_pointer()
            for place, address in zip(which, asked, strict=True):
                body.store(body.sext(body.call(body.inttoptr(address, counter), []), size), place)
        unpacked = [body.extract_value(given, i) for i in range(len(arguments.types))]
        # Not inlined: LLVM would take as long over the copy as over the function itself.
        function = context.declare_function(body.module, result.fndesc)
        called = *unpacked, *(body.load(place) for place in which)
        context.call_conv.call_function(body, function, inner.return_type, inner.args, called, attrs=("noinline",))
        body.ret_void()

        place = cgutils.alloca_once(builder, shared)
        for i, value in enumerate(kept):
            builder.store(value, cgutils.gep_inbounds(builder, place, 0, i))
        place = builder.bitcast(place, i8p)
        with builder.if_else(builder.icmp_signed(">", threads_value, ir.Constant(size, 1))) as (several, one):
            with several:
                parallel = ir.FunctionType(ir.VoidType(), [outlined.type, i8p, i32, i32]).as_pointer()
                call = builder.inttoptr(builder.extract_value(team_value, 0), parallel)
                builder.call(call, [outlined, place, builder.trunc(threads_value, i32), i32(0)])
            with one:
                builder.call(outlined, [place])
        return context.get_dummy_value()

    return types.void(team, threads, part, arguments), generate


@intrinsic
def apart(typing_context: Any, function: Any, arguments: Any) -> Any:
    """Call ``function(*arguments)``, which returns nothing, without a copy of it here: for what is called in several
    places and takes LLVM long.
    """
    inner = function.get_call_type(typing_context, arguments.types, {})

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        result = function.dispatcher.get_compile_result(inner)
        context.active_code_library.add_linking_library(result.library)
        given = [builder.extract_value(values[1], i) for i in range(len(arguments.types))]
        called = context.declare_function(builder.module, result.fndesc)
        context.call_conv.call_function(builder, called, inner.return_type, inner.args, given, attrs=("noinline",))
        return context.get_dummy_value()

    return types.void(function, arguments), generate


@intrinsic
def meet(typing_context: Any, team: Any, parts: Any) -> Any:
    """Within a part of ``spread``: wait until all ``parts`` have come here, and see what the others have written."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        team_value, parts_value = values
        with builder.if_then(builder.icmp_signed(">", parts_value, ir.Constant(parts_value.type, 1))):
            barrier = ir.FunctionType(ir.VoidType(), []).as_pointer()
            builder.call(builder.inttoptr(builder.extract_value(team_value, 3), barrier), [])
        return context.get_dummy_value()

    return types.void(team, parts), generate


@intrinsic
def pointer(typing_context: Any, address: Any, like: Any) -> Any:
    """The address, as that of numbers like this one: a tenth of the time of handing an array over from Python."""
    return types.CPointer(like)(types.intp, like), lambda context, builder, signature, values: builder.inttoptr(
        values[0], context.get_value_type(like).as_pointer()
    )


@intrinsic
def as_float(typing_context: Any, bits: Any) -> Any:
    """The float32 with these 32 bits."""
    return types.float32(types.uint32), lambda context, builder, signature, values: builder.bitcast(
        values[0], ir.FloatType()
    )


@intrinsic
def as_bits(typing_context: Any, number: Any) -> Any:
    """The 32 bits of a float32."""
    return types.uint32(types.float32), lambda context, builder, signature, values: builder.bitcast(
        values[0], ir.IntType(32)
    )
