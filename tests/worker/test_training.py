"""Training in real processes on a tiny model: killed, paused, resumed, cancelled, shared by two servers."""

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest
from tests.tiny import model_folder

from hypotez.store import Store
from hypotez.wire.fine_tuning import Base, new_job
from hypotez.worker import job_events, job_states, jobs
from hypotez.worker.training import Room, Supervisor

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PATIENCE = 600  # seconds; this machine may be busy
NUMBERS = {"n_epochs": 12, "batch_size": 4, "learning_rate_multiplier": 1.0, "full": False}


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    return model_folder(tmp_path_factory.mktemp("tiny") / "tiny")


class Place:
    """A store, a supervisor, and what one does with them."""

    def __init__(self, home: Path, base: Path):
        self.home, self.base = home, base
        self.room = Room(home, f"sqlite:///{home / 'h.db'}", silence=8.0)
        self.store = Store.open(self.room.database, home)
        self.supervisor = Supervisor(self.store, self.room)

    def create(self, rows: int = 16, base: Path | None = None, **numbers) -> str:
        lines = [
            json.dumps(
                {"messages": [{"role": "user", "content": f"q {n}"}, {"role": "assistant", "content": f"a {n * 7}"}]}
            )
            for n in range(rows)
        ]
        file = f"file-{time.monotonic_ns()}"
        self.store.blobs.put(file, ["\n".join(lines).encode()])
        request = {"training_file": file, "seed": 3}
        body, private = new_job(
            Base("tiny", "tiny", str(base or self.base)), "default", request, "supervised", {**NUMBERS, **numbers}, 1
        )
        with self.store.write() as tx:
            jobs.begin(tx, tx.documents.create(job_states.KIND, body, private=private))
        return body["id"]

    def job(self, id: str):
        with self.store.read() as tx:
            return tx.documents.get(job_states.KIND, id)

    def until(self, id: str, *states: str, step: int = 0) -> str:
        """Tick until the job is in one of the states, or has come to a step."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            self.supervisor.tick()
            job = self.job(id)
            if job.status in states or (step and job.private.get("step", 0) >= step):
                return str(job.status)
            time.sleep(0.05)
        log = jobs.job_folder(self.home, id) / "log.txt"
        raise AssertionError(f"{id} is {self.job(id).status}\n{log.read_text() if log.exists() else ''}")

    def pid(self, id: str) -> int:
        with self.store.read() as tx:
            (owner,) = [item.owner for item in tx.work.waiting(job_states.WORK) if item.target == id]
        return int(owner.split("/")[1]) if owner else 0

    def claimed(self, id: str) -> int:
        """Tick until a process has taken the job; its pid."""
        while not (pid := self.pid(id)):
            self.supervisor.tick()
            time.sleep(0.02)
        return pid

    def steps(self, id: str) -> list[tuple[int, float]]:
        with self.store.read() as tx:
            events = tx.documents.page(job_events.KIND, parent=id, order="asc", limit=1000).items
        return [(e.body["data"]["step"], e.body["data"]["train_loss"]) for e in events if e.body["type"] == "metrics"]


@pytest.fixture
def place(tmp_path, tiny):
    place = Place(tmp_path, tiny)
    yield place
    for child, _ in place.supervisor._started.values():
        child.kill()
        child.wait()
    place.store.close()


def test_a_killed_job_ends_with_the_loss_of_an_undisturbed_one(place):
    undisturbed = place.create()
    assert place.until(undisturbed, *job_states.ENDED) == "succeeded"
    id = place.create()

    for step in sorted(random.Random(11).sample(range(1, 40), 10)):
        assert place.until(id, *job_states.ENDED, step=step) == "running"
        os.kill(place.claimed(id), signal.SIGKILL)

    assert place.until(id, *job_states.ENDED) == "succeeded"
    assert place.steps(id) == place.steps(undisturbed)
    assert len(place.steps(id)) == 48


def test_paused_and_resumed_under_the_same_id(place):
    id = place.create()
    place.until(id, *job_states.ENDED, step=5)
    with place.store.write() as tx:
        job_states.pause(tx, id, "default")
    assert place.until(id, "paused", *job_states.ENDED) == "paused"
    seen = len(place.steps(id))

    place.supervisor.tick()
    with place.store.write() as tx:
        assert job_states.resume(tx, id, "default").status == "queued"

    assert seen < 48
    assert place.until(id, *job_states.ENDED) == "succeeded"
    assert [step for step, _ in place.steps(id)] == list(range(1, 49))


def test_a_cancelled_job_stops_and_its_process_goes(place):
    id = place.create(n_epochs=50)
    place.until(id, *job_states.ENDED, step=3)
    pid = place.pid(id)
    with place.store.write() as tx:
        job_states.cancel(tx, id, "default")

    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and place.supervisor._started:
        place.supervisor.tick()
        time.sleep(0.05)

    assert pid
    assert not place.supervisor._started
    assert place.job(id).status == "cancelled"
    assert len(place.steps(id)) < 200
    assert not (jobs.job_folder(place.home, id) / "work").exists()


def test_two_servers_on_one_store_train_each_job_once(place):
    other = Supervisor(place.store, place.room)
    ids = [place.create(n_epochs=1) for _ in range(2)]

    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and not all(place.job(id).status in job_states.ENDED for id in ids):
        place.supervisor.tick()
        other.tick()
        running = [id for id in ids if place.job(id).status == "running"]
        assert len(running) <= 1
        time.sleep(0.05)

    assert [place.job(id).status for id in ids] == ["succeeded", "succeeded"]
    for id in ids:
        assert [step for step, _ in place.steps(id)] == [1, 2, 3, 4]


def test_a_model_that_is_not_there_fails_the_job_with_a_reason(place, tmp_path):
    id = place.create(base=tmp_path / "nothing")

    assert place.until(id, *job_states.ENDED) == "failed"
    error = place.job(id).body["error"]
    assert "nothing" in error["message"]
    assert set(error) == {"code", "message", "param"}
