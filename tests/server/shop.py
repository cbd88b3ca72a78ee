"""A server for fine-tuning jobs, its client, and a supervisor that one drives by hand. Nothing trains here: what is
spawned is a process that does nothing."""

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from openai import OpenAI
from tests.serving import serve_for_test

from hypotez.server import checkpoint_permissions, files, fine_tuning, models
from hypotez.server.auth import create_key
from hypotez.worker import job_states
from hypotez.worker.children import owner_name
from hypotez.worker.training import Room, Supervisor
from hypotez.worker.training_journal import TrainingJournal, claim

ROUTERS = [fine_tuning.router, files.router, models.router, checkpoint_permissions.router]


def example(n: int) -> dict:
    return {"messages": [{"role": "user", "content": f"question {n}"}, {"role": "assistant", "content": f"answer {n}"}]}


ROWS = [example(n) for n in range(12)]


class Shop:
    """``at_once`` jobs may train at the same time; what is spawned for them is told in ``spawned``."""

    def __init__(self, server, home, at_once=1):
        self.server, self.home = server, home
        self.client = server.client
        self.spawned = []
        self.room = Room(home, "unused", at_once)
        self.supervisor = Supervisor(server.store, self.room, self._spawn)

    @property
    def jobs(self):
        return self.client.fine_tuning.jobs

    def _spawn(self, job, room):
        self.spawned.append(job)
        return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])

    def close(self):
        for child, _ in self.supervisor._started.values():
            child.kill()
            child.wait()

    def come_as(self, name, project="default"):
        """Ask with another API key, made now."""
        key, _ = create_key(self.server.store, name, project=project)
        self.client = OpenAI(base_url=self.server.base_url, api_key=key, max_retries=0)

    def upload(self, rows=ROWS, purpose="fine-tune") -> str:
        content = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()
        return self.client.files.create(file=("train.jsonl", io.BytesIO(content)), purpose=purpose).id

    def create(self, rows=ROWS, **more):
        return self.jobs.create(**{"model": "scripted", "training_file": self.upload(rows), **more})

    def checked(self, *args, **more):
        """A job after its files were looked at."""
        job = self.create(*args, **more)
        self.supervisor.tick()
        return self.jobs.retrieve(job.id)

    def begin(self) -> tuple[str, TrainingJournal]:
        """Stand in for the process of the job whose turn it is: claim it and say that it runs."""
        self.supervisor.tick()
        id = self.spawned[-1]
        child, _ = self.supervisor._started[id]
        child.kill()
        child.wait()
        item = claim(self.server.store, id, owner_name(), concurrency=self.room.concurrency, silence=15)
        with self.server.store.read() as tx:
            journal = TrainingJournal(self.server.store, self.home, tx.documents.get(job_states.KIND, id), item)
        assert journal.begin()
        return id, journal

    def queue(self, id) -> dict:
        return self.jobs.retrieve(id).model_dump()["queue"]

    def messages(self, id) -> list[str]:
        return [event.message for event in reversed(self.jobs.list_events(id, limit=100).data)]


@contextmanager
def shop_at(home, at_once=1, **values) -> Iterator[Shop]:
    """``values`` are those of ``serve_for_test``; a second one at the same home finds what the first left."""
    bases = {"scripted": "/nowhere"}
    with serve_for_test(home, routers=ROUTERS, bases=bases, training_at_once=at_once, **values) as server:
        shop = Shop(server, home, at_once)
        try:
            yield shop
        finally:
            shop.close()
