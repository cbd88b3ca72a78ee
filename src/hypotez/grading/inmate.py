"""The process that runs a Python grader: started by ``sandbox.py`` as a script of its own, with nothing but the
standard library. Lines of JSON come in and go out.

Before the grader's first line runs it gives up, for good and on its own: memory beyond a limit, files of any size,
other processes, and every system call but those that Python needs to compute and to talk over the pipes it has
(seccomp). No file can be opened afterwards, not even to be read, and no socket; so what the grader imports is
imported before, from a list.
"""

import ast
import contextlib
import ctypes
import importlib
import json
import math
import os
import platform
import resource
import sys
import time
import traceback
from typing import Any

GRADER = "<grader>"

# what a grader may import: computing, and no reach outside
MODULES = frozenset({
    "__future__", "abc", "array", "ast", "base64", "binascii", "bisect", "calendar", "cmath", "collections",
    "colorsys", "copy", "csv", "dataclasses", "datetime", "decimal", "deepdiff", "difflib", "enum", "fractions",
    "functools", "hashlib", "heapq", "html", "io", "itertools", "json", "jsonschema", "keyword", "locale", "math",
    "nltk", "numbers", "numpy", "operator", "pandas", "pydantic", "random", "rapidfuzz", "re", "rouge_score",
    "sacrebleu", "scipy", "sklearn", "sqlparse", "statistics", "string", "struct", "sympy", "textwrap", "time",
    "token", "tokenize", "types", "typing", "unicodedata", "urllib", "uuid", "warnings", "xml", "yaml", "zlib",
})  # fmt: skip

# what the standard library imports when it is first needed
LAZY = ("_strptime", "encodings.ascii", "encodings.latin_1", "encodings.utf_16", "encodings.cp1251", "encodings.idna")

# what Python needs to compute, by machine: its number in the kernel's audit, and the system calls that stay open
CALLS: dict[str, tuple[int, list[int]]] = {
    "x86_64": (0xC000003E, [
        0, 1, 3, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 23, 24, 25, 28, 35, 39, 60, 96, 98, 100, 131, 186, 202, 204,
        219, 228, 229, 230, 231, 270, 271, 318, 334,
    ]),
    "aarch64": (0xC00000B7, [
        57, 62, 63, 64, 72, 73, 80, 93, 94, 98, 99, 101, 113, 114, 115, 123, 124, 128, 132, 134, 135, 139, 153, 165,
        169, 172, 178, 214, 215, 216, 222, 226, 233, 278, 293,
    ]),
}  # fmt: skip


def main() -> None:
    """Read the task, lock the door behind, then grade until the pipe is closed."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # a grader that prints writes nowhere
    task = json.loads(sys.stdin.readline())
    try:
        code = compile(task["source"], GRADER, "exec")
        _import(ast.parse(task["source"]))
        if not _locked(task["memory"], task["seconds"]) and task["confined"]:
            return _say(out, {"unconfined": True})
        space: dict[str, Any] = {"__name__": "grader"}
        exec(code, space)  # what this process is for
        grade = space.get("grade")
        if not callable(grade):
            raise NameError("the source defines no function 'grade'")
    except BaseException as exc:
        return _say(out, {"error": _told(exc)})
    _say(out, {"ready": True})
    for line in sys.stdin:
        _say(out, {**_graded(grade, json.loads(line)), "spent": time.process_time()})
    return None


def _graded(grade: Any, given: dict[str, Any]) -> dict[str, Any]:
    try:
        value = grade(given["sample"], given["item"])
        if isinstance(value, str | bytes) or not math.isfinite(number := float(value)):
            raise TypeError(f"grade returned {value!r:.100}, not a finite number")
    except BaseException as exc:
        return {"error": _told(exc)}
    return {"grade": number}


def _import(tree: ast.AST) -> None:
    """What the source imports and may, now; afterwards no file can be read."""
    wanted = [*LAZY]
    known: dict[str, str] = {}  # what the source calls a module
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            wanted += [alias.name for alias in node.names]
            known |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            wanted += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    for node in ast.walk(tree):  # np.random is a module too, and numpy imports it when it is first named
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in known:
            wanted.append(f"{known[node.value.id]}.{node.attr}")
    for name in dict.fromkeys(wanted):
        if name.partition(".")[0] in MODULES or name in LAZY:
            with contextlib.suppress(Exception):  # the grader's own import says what is wrong with it
                importlib.import_module(name)


def _locked(memory: int, seconds: int) -> bool:
    """Whether this process is confined from here on; the limits hold in any case."""
    import linecache

    linecache.checkcache = lambda filename=None: None  # a traceback must not look for files
    limits = [(resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_CPU, seconds)]
    limits += [(resource.RLIMIT_AS, memory)] if sys.platform == "linux" else []
    for what, most in limits:
        resource.setrlimit(what, (most, most))
    calls = CALLS.get(platform.machine())
    if calls is None or sys.platform != "linux":
        return False
    return _filtered(*calls)


def _filtered(architecture: int, numbers: list[int]) -> bool:
    """seccomp with a filter of the classic BPF machine: another architecture dies, another call gets EPERM."""

    class Instruction(ctypes.Structure):
        _fields_ = [
            ("code", ctypes.c_ushort), ("true", ctypes.c_ubyte), ("false", ctypes.c_ubyte), ("k", ctypes.c_uint)
        ]  # fmt: skip

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.POINTER(Instruction))]

    load, equal, end = 0x20, 0x15, 0x06
    allow, refuse, kill = 0x7FFF0000, 0x00050001, 0x80000000
    lines = [(load, 0, 0, 4), (equal, 1, 0, architecture), (end, 0, 0, kill), (load, 0, 0, 0)]
    for number in numbers:
        lines += [(equal, 0, 1, number), (end, 0, 0, allow)]
    lines.append((end, 0, 0, refuse))
    code = (Instruction * len(lines))(*(Instruction(*line) for line in lines))
    program = Program(len(lines), code)
    libc = ctypes.CDLL(None, use_errno=True)
    no_new_privileges, seccomp, filter_mode = 38, 22, 2
    if libc.prctl(no_new_privileges, 1, 0, 0, 0) != 0:
        return False
    return int(libc.prctl(seccomp, filter_mode, ctypes.byref(program), 0, 0)) == 0


def _told(exc: BaseException) -> str:
    """The error, and the lines of the grader that led to it."""
    frames = [f for f in traceback.extract_tb(exc.__traceback__) if f.filename == GRADER]
    where = "".join(f"line {frame.lineno}, in {frame.name}\n" for frame in frames[-5:])
    return f"{where}{type(exc).__name__}: {exc}"[:4000]


def _say(out: Any, what: dict[str, Any]) -> None:
    out.write(json.dumps(what) + "\n")
    out.flush()


if __name__ == "__main__":
    main()
