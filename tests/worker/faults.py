"""A place where real servers and training processes run, and what can be done to them: ``Place`` and its faults.

Nothing here knows what a job should come to. Servers are ``hypotez serve``; a training process is whatever runs
``hypotez.cli.train_job`` for this home.
"""

import contextlib
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path

import psutil

SILENCE = 2.0  # seconds without a heartbeat after which a claim is another machine's to take
START_SECONDS = 120
DISK_BYTES = 512 * 1024**2
CLOCK = Path(__file__).parent / "jumping_clock"


class Disk:
    """Can be made full: a small file system of its own where one may be mounted, else by a limit on file sizes."""

    def __init__(self, home: Path) -> None:
        self.home, self.ballast = home, home / "ballast"
        home.mkdir(parents=True, exist_ok=True)
        size = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(home)]
        try:
            self.mounted = subprocess.run(size, capture_output=True, check=False).returncode == 0
        except FileNotFoundError:
            self.mounted = False

    def fill(self, processes: list[psutil.Process]) -> None:
        if not self.mounted:
            return limit(processes, 0)
        with self.ballast.open("wb", buffering=0) as file:
            for size in (1024**2, 4096, 1):
                with contextlib.suppress(OSError):
                    while file.write(b"x" * size):
                        pass
        return None

    def free(self, processes: list[psutil.Process]) -> None:
        if not self.mounted:
            return limit(processes, resource.RLIM_INFINITY)
        self.ballast.unlink(missing_ok=True)
        return None

    def close(self) -> None:
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.home)], check=False)


def limit(processes: list[psutil.Process], size: int) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.rlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


class Clock:
    """The time of day of every process of the place."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.set(0.0)

    def set(self, offset: float) -> None:
        draft = self.path.with_suffix(".draft")
        draft.write_text(str(offset))
        draft.replace(self.path)


class Place:
    """A home, its servers and their training processes."""

    def __init__(self, home: Path, model: Path, concurrency: int) -> None:
        self.outside = Path(tempfile.mkdtemp(prefix="faults-"))  # logs must be written when the disk is full
        self.home, self.model, self.disk = home, model, Disk(home)
        self.clock = Clock(self.outside / "clock")
        self.port = free_port()
        self.servers: dict[int, subprocess.Popen[bytes]] = {}
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("HYPOTEZ_", "OPENAI_"))},
            "HYPOTEZ_HOME": str(home),
            "HYPOTEZ_TRAINING__CONCURRENCY": str(concurrency),
            "HYPOTEZ_TRAINING__HEARTBEAT_SECONDS": str(SILENCE),
            "HYPOTEZ_TRAINING__THREADS": "1",
            "HYPOTEZ_ENGINE__THREADS": "1",
            "TEST_CLOCK_FILE": str(self.clock.path),
            "PYTHONPATH": os.pathsep.join([str(CLOCK), os.environ.get("PYTHONPATH", "")]),
        }

    def start(self, port: int | None = None) -> subprocess.Popen[bytes]:
        """A server that answers; by default on the port that clients know."""
        port = port or self.port
        command = [sys.executable, "-m", "hypotez", "serve", "--port", str(port), "--model", str(self.model)]
        with (self.outside / f"server-{port}.log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.outside, env=self.environment)
        self.servers[port] = process
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and process.poll() is None:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models"):
                return process
            time.sleep(0.05)
        raise AssertionError(f"no server on port {port}: {(self.outside / f'server-{port}.log').read_text()[-3000:]}")

    def end(self, number: int, port: int | None = None) -> None:
        """Send a server the signal and wait until it is gone."""
        process = self.servers.pop(port or self.port)
        process.send_signal(number)
        process.wait(START_SECONDS)

    def children(self) -> dict[str, list[psutil.Process]]:
        """Training processes by the job they were started for."""
        found: dict[str, list[psutil.Process]] = {}
        for process in psutil.process_iter(["cmdline"]):
            line = process.info["cmdline"] or []
            if "hypotez.cli.train_job" in line and str(self.home) in line:
                found.setdefault(line[line.index("hypotez.cli.train_job") + 1], []).append(process)
        return found

    def processes(self) -> list[psutil.Process]:
        servers = [psutil.Process(server.pid) for server in self.servers.values() if server.poll() is None]
        return [*servers, *(child for family in self.children().values() for child in family)]

    def close(self) -> None:
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                process.resume()
                process.kill()
        for server in self.servers.values():
            server.wait()
        self.disk.close()


class Faults:
    """Each fault is a method; all of them leave one server on the place's port, able to write."""

    KINDS = (
        "kill_child", "kill_server", "kill_both", "terminate_child", "terminate_server",
        "full_disk", "clock_jump", "stopped_child", "second_server",
    )  # fmt: skip

    def __init__(self, place: Place, chance: random.Random) -> None:
        self.place, self.chance = place, chance
        self.done: Counter[str] = Counter()

    def strike(self, kind: str) -> None:
        getattr(self, kind)()
        self.done[kind] += 1

    def kill_child(self) -> None:
        signal_to(self._child(), signal.SIGKILL)

    def terminate_child(self) -> None:
        signal_to(self._child(), signal.SIGTERM)

    def kill_server(self) -> None:
        self.place.end(signal.SIGKILL)
        self.place.start()

    def terminate_server(self) -> None:
        self.place.end(signal.SIGTERM)
        self.place.start()

    def kill_both(self) -> None:
        for process in self.place.processes():
            signal_to(process, signal.SIGKILL)
        self.kill_server()

    def full_disk(self) -> None:
        self.place.disk.fill(self.place.processes())
        time.sleep(self.chance.uniform(0.3, 4.0))
        self.place.disk.free(self.place.processes())

    def clock_jump(self) -> None:
        """By seconds to a day, forward or back; it stays so."""
        size = 10 ** self.chance.uniform(0.5, 5)
        self.place.clock.set(self.chance.choice((-size, size)))

    def stopped_child(self) -> None:
        """Longer than its heartbeat may be silent."""
        child = self._child()
        signal_to(child, signal.SIGSTOP)
        time.sleep(SILENCE * self.chance.uniform(1.2, 2.0))
        signal_to(child, signal.SIGCONT)

    def second_server(self) -> None:
        """Two on one store for a while; then either goes, in order or not."""
        port = free_port()
        self.place.start(port)
        time.sleep(self.chance.uniform(0.5, 4.0))
        number = self.chance.choice((signal.SIGKILL, signal.SIGTERM))
        if self.chance.random() < 0.5:
            self.place.end(number)
            self.place.start()
        self.place.end(number if port in self.place.servers else signal.SIGKILL, port)

    def _child(self) -> psutil.Process:
        """One that runs, waited for."""
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            if children := [child for family in self.place.children().values() for child in family]:
                return self.chance.choice(children)
            time.sleep(0.02)
        raise AssertionError("no training process starts any more")


class Watch(threading.Thread):
    """Looks several times a second whether a job trains in two processes at once.

    Torch is imported by a process that has claimed its job, and by no other.
    """

    PERIOD, LOOKS = 0.2, 25  # one that gave its job back takes a moment to go, on a busy machine seconds

    def __init__(self, place: Place) -> None:
        super().__init__(daemon=True)
        self.place = place
        self.found: list[str] = []
        self.closing = threading.Event()

    def run(self) -> None:
        seen: Counter[str] = Counter()
        while not self.closing.wait(self.PERIOD):
            training = {job: sum(map(has_torch, family)) for job, family in self.place.children().items()}
            wrong = {f"{job} trains in {n} processes" for job, n in training.items() if n > 1}
            seen = Counter({what: seen[what] + 1 for what in wrong})
            self.found += [what for what, times in seen.items() if times == self.LOOKS]


def has_torch(process: psutil.Process) -> bool:
    try:
        return "libtorch" in Path(f"/proc/{process.pid}/maps").read_text()
    except OSError:  # gone, or no such file on this system
        return False


def signal_to(process: psutil.Process, number: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
