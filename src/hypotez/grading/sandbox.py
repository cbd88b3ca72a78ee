"""Python graders, each in a process that can compute and do nothing else (``inmate.py`` says how).

One process serves a grader for as long as it is wanted: a start costs more than a hundred grades.
"""

import contextlib
import json
import os
import selectors
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from hypotez.errors import InvalidRequest
from hypotez.grading.outcome import Fault, Ungraded

Json = dict[str, Any]

MOST = 1 << 20  # characters of one answer
INMATE = Path(__file__).with_name("inmate.py")
START_SECONDS = 30.0  # scipy and its like take their time to be imported

NO_SANDBOX = (
    "Python graders are refused here: this machine cannot confine them (it takes Linux on x86-64 or ARM64 with "
    "seccomp). To run them with the server's own rights all the same, set grading.unconfined_python = true in "
    "hypotez.toml (or HYPOTEZ_GRADING__UNCONFINED_PYTHON=true)."
)


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one Python grader. ``confined`` False runs it where there is no sandbox, with this process's rights."""

    seconds: float = 120.0  # of one grade
    memory: int = 2 << 30  # bytes
    confined: bool = True


class Sandbox:
    """Processes of Python graders, by source. Safe from many threads; grades of one source come one after another."""

    def __init__(self, limits: Limits | None = None, inmate: Path = INMATE) -> None:
        self.limits = limits or Limits()
        self._inmate = inmate
        self._cells: dict[str, _Cell] = {}
        self._lock = threading.Lock()

    def grade(self, source: str, sample: Json, item: Json) -> float:
        """Raises ``Ungraded`` where the grader gives no number, ``InvalidRequest`` where it may not run here."""
        return self._cell(source).grade(sample, item)

    def check(self, source: str) -> None:
        """Raises ``InvalidRequest`` for a source that does not run or has no ``grade``."""
        try:
            self._cell(source).start()
        except Ungraded as exc:
            raise InvalidRequest(f"Invalid Python grader: {exc.message}", code="invalid_grader") from exc

    def close(self) -> None:
        with self._lock:
            cells, self._cells = list(self._cells.values()), {}
        for cell in cells:
            cell.close()

    def _cell(self, source: str) -> "_Cell":
        with self._lock:
            return self._cells.setdefault(source, _Cell(source, self.limits, self._inmate))


class _Cell:
    """The process of one source: started when needed, and anew after it was killed or spent half its time."""

    def __init__(self, source: str, limits: Limits, inmate: Path) -> None:
        self._source, self._limits, self._inmate = source, limits, inmate
        self._child: subprocess.Popen[bytes] | None = None
        self._rest = b""
        self._spent = 0.0
        self._closed = False
        self._lock = threading.Lock()

    def start(self) -> None:
        with self._lock:
            self._start()

    def grade(self, sample: Json, item: Json) -> float:
        with self._lock:
            self._start()
            answer = self._answered({"sample": sample, "item": item}, self._limits.seconds)
            self._spent = float(answer.get("spent", 0.0))
        if "error" in answer:
            raise Ungraded(Fault.PYTHON, str(answer["error"]))
        return float(answer["grade"])

    def close(self) -> None:
        """At once, whoever waits for a grade: the one who does sees the process end and takes it away."""
        self._closed = True
        child = self._child
        if child is not None:
            child.kill()
        if self._lock.acquire(blocking=False):
            try:
                self._kill()
            finally:
                self._lock.release()

    def _start(self) -> None:
        if self._child is not None and self._spent < self._cpu / 2:
            return
        self._kill()
        if sys.platform == "win32":  # its pipes cannot be waited for, and it has no limits to set
            raise InvalidRequest(NO_SANDBOX, code="no_sandbox")
        self._child = subprocess.Popen(
            [sys.executable, "-I", "-B", str(self._inmate)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self._inmate.anchor,
            env={"PATH": os.defpath, "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
        if self._closed:
            self._kill()
            raise Ungraded(Fault.PYTHON, "The grader was stopped.")
        task = {"source": self._source, "memory": self._limits.memory, "seconds": self._cpu}
        answer = self._answered({**task, "confined": self._limits.confined}, START_SECONDS + self._limits.seconds)
        if "ready" in answer:
            return
        self._kill()
        if "unconfined" in answer:
            raise InvalidRequest(NO_SANDBOX, code="no_sandbox")
        raise Ungraded(Fault.PYTHON, str(answer.get("error")))

    @property
    def _cpu(self) -> int:
        return max(2, int(20 * self._limits.seconds))

    def _answered(self, question: Json, seconds: float) -> Json:
        """One line out, one line in. Whoever does not answer in time or in JSON is killed."""
        child = cast("subprocess.Popen[bytes]", self._child)
        assert child.stdin is not None
        try:
            child.stdin.write(json.dumps(question).encode() + b"\n")
            child.stdin.flush()
            answer = json.loads(self._line(child, seconds))
            if not isinstance(answer, dict):
                raise ValueError("not an object")
        except TimeoutError as exc:
            self._kill()
            raise Ungraded(Fault.PYTHON, f"The grader took more than {seconds:g} seconds.") from exc
        except (OSError, ValueError, EOFError, RecursionError) as exc:
            self._kill()
            raise Ungraded(Fault.PYTHON, f"The grader's process ended or answered nonsense ({exc}).") from exc
        return answer

    def _line(self, child: "subprocess.Popen[bytes]", seconds: float) -> bytes:
        assert child.stdout is not None
        end = time.monotonic() + seconds
        with selectors.DefaultSelector() as ready:
            ready.register(child.stdout, selectors.EVENT_READ)
            while b"\n" not in self._rest:
                if not ready.select(max(0.0, end - time.monotonic())):
                    raise TimeoutError
                piece = os.read(child.stdout.fileno(), 65536)
                if not piece:
                    raise EOFError(f"exit status {child.wait()}")
                self._rest += piece
                if len(self._rest) > MOST:
                    raise ValueError("the answer is too long")
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def _kill(self) -> None:
        child, self._child, self._rest, self._spent = self._child, None, b"", 0.0
        if child is None:
            return
        child.kill()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what was still to be flushed has no reader
                    pipe.close()
        child.wait()
