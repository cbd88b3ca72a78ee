"""Supervision of training: checks new jobs' files, starts a process for each job whose turn it is, and starts it
again when it died. The processes outlive this one, and any number of servers may supervise one store.

A child (``cli/train_job.py``) claims its job itself and tells everything else; here is only who should be running.
"""

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hypotez.store import Store, WorkItem
from hypotez.wire.ids import random_name
from hypotez.worker import jobs
from hypotez.worker.children import is_dead
from hypotez.worker.job_states import KIND, VALIDATION, WORK

POLL_SECONDS = 1.0
STARTING_SECONDS = 60.0  # a child that has not claimed its job by then is taken for lost
PATIENCE = 20  # deaths of a job's process without a step forward before the job is given up

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Room:
    """Where jobs train, and how many at once."""

    home: Path
    database: str
    concurrency: int = 1
    silence: float = 15.0  # seconds without a heartbeat after which a claim is nobody's


Spawn = Callable[[str, Room], "subprocess.Popen[bytes]"]


def spawn(job: str, room: Room) -> "subprocess.Popen[bytes]":
    """Start a job's process in a session of its own: neither Ctrl-C nor this process's end reaches it."""
    folder = jobs.job_folder(room.home, job)
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "hypotez.cli.train_job", job, "--home", str(room.home)]
    command += ["--concurrency", str(room.concurrency), "--silence", str(room.silence)]
    environment = {**os.environ, "HYPOTEZ_DATABASE": room.database}
    with (folder / "log.txt").open("ab") as log_file:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log_file,
            stderr=log_file,
            env=environment,
            start_new_session=True,
        )


class Supervisor:
    """One per process. ``start`` makes its thread; ``close`` starts what is due once more and leaves."""

    def __init__(self, store: Store, room: Room, spawn: Spawn = spawn) -> None:
        self._store, self._room, self._spawn = store, room, spawn
        self._owner = f"validation-{random_name(12)}"
        self._started: dict[str, tuple[subprocess.Popen[bytes], float]] = {}
        self._news = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="hypotez-training", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """A job was made or moved: look now. From any thread."""
        self._news.set()

    def close(self) -> None:
        """Check what was created and start whose turn it is, so that jobs go on without this process. Twice is fine."""
        if self._thread is not None:
            self._closing.set()
            self._news.set()
            self._thread.join()
            self._thread = None

    def tick(self) -> None:
        """Check new jobs, take away dead claims, start what is due."""
        while self._validate_one():
            pass
        self._bury()
        self._start_due()

    def _run(self) -> None:
        while True:
            closing = self._closing.is_set()
            try:
                self.tick()
            except Exception:  # a full disk or a busy database now; the next tick may do better
                log.exception("supervision of training failed; trying again")
            if closing:
                return
            self._news.wait(POLL_SECONDS)
            self._news.clear()

    def _validate_one(self) -> bool:
        with self._store.read() as tx:
            if not tx.work.waiting(VALIDATION):
                return False
        with self._store.write() as tx:
            item = tx.work.claim(VALIDATION, self._owner, silence=300.0)
        if item is None:
            return False
        try:
            jobs.validate(self._store, self._room.home, item)
        except Exception as exc:  # whatever it is, this job must not block the others
            log.exception("the files of %s could not be checked", item.target)
            with self._store.write() as tx:
                error = {"code": "server_error", "message": f"The files could not be checked: {exc}", "param": None}
                jobs.fail(tx, item.target, error)
        return True

    def _bury(self) -> None:
        """Release the claims of dead processes; give a job up whose process dies again and again at one place."""
        for job, (child, _) in list(self._started.items()):
            if child.poll() is not None:
                del self._started[job]
        with self._store.read() as tx:
            dead = [item for item in tx.work.waiting(WORK) if is_dead(item.owner)]
        for item in dead:
            with self._store.write() as tx:
                found = tx.documents.find(KIND, item.target)
                if found is None:
                    tx.work.remove(WORK, item.target)
                    continue
                step = found.private.get("step", 0)
                deaths = found.private.get("deaths", 0) + 1 if found.private.get("death_step") == step else 1
                tx.documents.change(found, private={"deaths": deaths, "death_step": step})
                if deaths <= PATIENCE:
                    pause = min(10.0, 0.1 * 2**deaths) if deaths > 3 else 0.0
                    tx.work.release(item, due=time.time() + pause)
                    continue
                told = (
                    f"The training process died {deaths} times in a row at step {step}. See log.txt in jobs/{found.id}."
                )
                jobs.fail(tx, found.id, {"code": "server_error", "message": told, "param": None})

    def _start_due(self) -> None:
        with self._store.read() as tx:
            items = tx.work.waiting(WORK)
        now = time.time()
        running = sum(item.owner is not None and not self._is_silent(item, now) for item in items)
        starting = sum(
            now - at < STARTING_SECONDS and not any(item.target == job and item.owner for item in items)
            for job, (_, at) in self._started.items()
        )
        room = self._room.concurrency - running - starting
        free = [item for item in items if item.due <= now]
        for item in [*(i for i in free if i.owner is not None and self._is_silent(i, now)), *jobs.in_turn(free)]:
            if room <= 0:
                return
            if item.target not in self._started:
                self._started[item.target] = (self._spawn(item.target, self._room), now)
                room -= 1

    def _is_silent(self, item: WorkItem, now: float) -> bool:
        return item.heartbeat is None or abs(now - item.heartbeat) > self._room.silence
