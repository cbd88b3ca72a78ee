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
from hypotez.worker import job_events, jobs, setbacks, turns
from hypotez.worker.children import holds, is_dead, owner_name
from hypotez.worker.job_states import VALIDATION, WORK

POLL_SECONDS = 1.0
STARTING_SECONDS = 60.0  # a child that has not claimed its job by then is taken for lost
CHECKING_SECONDS = 300.0  # a check of another machine's server that takes longer is taken for lost

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
        self._owner = owner_name()
        self._started: dict[str, tuple[subprocess.Popen[bytes], float]] = {}
        self._news = threading.Event()
        self._closing = threading.Event()
        self._places: dict[str, int] = {}  # of the jobs that wait, as they were told last
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
        self._tell_places()

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
            waiting = [item for item in tx.work.waiting(VALIDATION) if setbacks.is_due(item) and self._is_free(item)]
        if not waiting:
            return False
        with self._store.write() as tx:
            item = tx.work.take(waiting[0], self._owner)
        if item is None:
            return True  # another server was faster
        try:
            jobs.validate(self._store, self._room.home, item)
        except Exception as exc:  # whatever it is, this job must not block the others
            log.exception("the files of %s could not be checked", item.target)
            with self._store.write() as tx:
                if setbacks.is_full(exc) and item.attempts <= setbacks.PATIENCE:
                    tx.work.release(item, due=setbacks.later(item.attempts))
                    return True
                error = {"code": "server_error", "message": f"The files could not be checked: {exc}", "param": None}
                jobs.fail(tx, item.target, error)
        return True

    def _is_free(self, item: WorkItem) -> bool:
        """One that this process took and could not end, not even say so, is free as well: it checks one at a time."""
        return item.owner == self._owner or not holds(item.owner, item.heartbeat, CHECKING_SECONDS)

    def _bury(self) -> None:
        """Release the claims of dead processes; give a job up whose process dies again and again at one place."""
        for job, (child, _) in list(self._started.items()):
            if child.poll() is not None:
                del self._started[job]
        with self._store.read() as tx:
            dead = [item for item in tx.work.waiting(WORK) if is_dead(item.owner)]
        for item in dead:
            told = f"The training process died. See log.txt in jobs/{item.target}."
            with self._store.write() as tx:
                setbacks.again(tx, item, {"code": "server_error", "message": told, "param": None})

    def _start_due(self) -> None:
        with self._store.read() as tx:
            items = tx.work.waiting(WORK)
        held = {item.target for item in items if holds(item.owner, item.heartbeat, self._room.silence)}
        now = time.monotonic()
        starting = [job for job, (_, at) in self._started.items() if now - at < STARTING_SECONDS and job not in held]
        room = self._room.concurrency - len(held) - len(starting)
        free = [item for item in items if setbacks.is_due(item)]
        for item in [*(i for i in free if i.owner is not None and i.target not in held), *turns.in_turn(free)]:
            if room <= 0:
                return
            if item.target not in self._started:
                self._started[item.target] = (self._spawn(item.target, self._room), now)
                room -= 1

    def _tell_places(self) -> None:
        """Why a job waits, as an event each time the number of those ahead of it is another one."""
        with self._store.read() as tx:
            items = tx.work.waiting(WORK)
        places, at_once = turns.places(items), self._room.concurrency
        moved = [
            i for i in items if places.get(i.target, 0) >= at_once and self._places.get(i.target) != places[i.target]
        ]
        if moved:
            with self._store.write() as tx:
                for item in moved:
                    job_events.tell(tx, item.target, turns.reason(places[item.target], at_once), project=item.project)
        self._places = places
