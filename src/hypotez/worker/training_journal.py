"""What a training process writes: every step of a job, its checkpoints, its model, and how it ended.

The other side of ``progress.Journal``. Everything is written once, however often a killed process begins again.
"""

import hashlib
import logging
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypotez.errors import HypotezError
from hypotez.progress import StepMetrics, Wanted
from hypotez.store import Document, Store, Transaction, WorkItem
from hypotez.wire.ids import ALPHABET
from hypotez.worker import job_events, jobs, setbacks
from hypotez.worker.children import holds
from hypotez.worker.job_states import ENDED, KIND, WORK, move

Json = dict[str, Any]

CHECKPOINT = "fine_tuning.job.checkpoint"
KEPT = 3  # checkpoints of a job

log = logging.getLogger(__name__)


class ClaimLost(HypotezError):
    """Another process has the job now: stop and touch nothing."""


class TrainingJournal:
    """One job's, held by the process that claimed it. Thread-safe as the store is."""

    def __init__(self, store: Store, home: Path, job: Document, item: WorkItem) -> None:
        self._store, self._home, self._item = store, home, item
        self.job = job
        self.leaving = threading.Event()  # asked to go: keep the state and give the job back
        self._lost = threading.Event()
        self._first: tuple[float, int] | None = None  # when this process's first step ended, and which it was
        self._estimated = 0.0

    @property
    def store(self) -> Store:
        return self._store

    # what training.job.train calls

    def event(self, message: str, level: str = "info", data: Json | None = None) -> None:
        with self._store.write() as tx:
            self._tell(tx, message, level=level, data=data)

    def hyperparameters(self, resolved: dict[str, float]) -> None:
        """Put numbers where the job said ``auto``."""
        with self._store.write() as tx:
            job = tx.documents.get(KIND, self.job.id)
            method = job.body["method"]["type"]
            shown = job.body["method"][method]["hyperparameters"]
            numbers = {key: resolved.get(key, value) for key, value in job.body["hyperparameters"].items()}
            resolved_shown = {**job.body["method"][method], "hyperparameters": {**shown, **_only(resolved, shown)}}
            inside = {"type": method, method: resolved_shown}
            tx.documents.change(job, {"hyperparameters": numbers, "method": inside})

    def metrics(self, told: StepMetrics) -> None:
        message, data = job_events.metrics(told)
        with self._store.write() as tx:
            self._tell(tx, message, data=data, key=f"step {told.step}", type="metrics")
            job = tx.documents.get(KIND, self.job.id)
            finish = self._estimate(told.step, told.total_steps)
            if job.status not in ENDED:
                body = {} if finish is None else {"estimated_finish": finish}
                tx.documents.change(job, body, private={"step": max(told.step, job.private.get("step", 0))})

    def checkpoint(self, folder: Path, told: StepMetrics) -> None:
        """Keep an epoch's adapter under a name of its own; the last three stay."""
        step = told.step
        name = f"{self._named(step)}:ckpt-step-{step}"
        kept = self._home / "models" / _folder(name)
        _copy(folder, kept)
        _, data = job_events.metrics(told)
        total = data.pop("total_steps")
        body: Json = {
            "id": f"ftckpt_{self._digest(f'checkpoint {step}', 24)}",
            "object": CHECKPOINT,
            "fine_tuned_model_checkpoint": name,
            "fine_tuning_job_id": self.job.id,
            "metrics": data,
            "step_number": step,
        }
        with self._store.write() as tx:
            if tx.documents.find(CHECKPOINT, body["id"]) is None:
                before = tx.documents.page(CHECKPOINT, parent=self.job.id, limit=1).items
                # lists are ordered by it: not before the last one, though the clock may have been set back since
                body["created_at"] = max(int(time.time()), *(one.created_at for one in before), 0)
                tx.documents.create(CHECKPOINT, body, project=self.job.project, parent=self.job.id)
                self._model(tx, name, kept)
            if step != total:  # the last one carries the finished model's name: see ``succeed``
                self._tell(tx, f"Checkpoint created at step {step} with Snapshot ID: {name}")
            old = self._old_checkpoints(tx)
        for path in old:
            shutil.rmtree(path, ignore_errors=True)

    def wanted(self) -> Wanted:
        if self._lost.is_set():
            raise ClaimLost(f"{self.job.id} was claimed by another process.")
        with self._store.read() as tx:
            job = tx.documents.find(KIND, self.job.id)
        if job is None or job.status in ENDED:
            return "cancel"
        return "pause" if job.status in ("pausing", "paused") or self.leaving.is_set() else "run"

    def ended(self) -> bool:
        with self._store.read() as tx:
            job = tx.documents.find(KIND, self.job.id)
        return job is None or job.status in ENDED

    # how it begins and ends

    def begin(self) -> bool:
        """``running``, with its event. False when the job was cancelled or paused meanwhile."""
        with self._store.write() as tx:
            job = tx.documents.get(KIND, self.job.id)
            if job.status == "queued" and move(tx, job.id, "running") is None:
                return False
            self._tell(tx, "Fine-tuning job started")
            return job.status in ("queued", "running", "pausing")

    def keep_alive(self, every: float) -> threading.Thread:
        """Beat until the process ends; a lost claim is seen at the next step."""

        def beat() -> None:
            while not self._lost.wait(every):
                try:
                    with self._store.write() as tx:
                        if not tx.work.beat(self._item):
                            self._lost.set()
                except Exception:  # the database may be busy; the next beat is soon
                    log.exception("no heartbeat this time")

        thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
        thread.start()
        return thread

    def paused(self) -> bool:
        """Asked to pause and has kept its state. False when it was resumed meanwhile: go on."""
        with self._mine() as tx:
            job = tx.documents.get(KIND, self.job.id)
            if job.status == "running" and self.leaving.is_set():
                tx.work.release(self._item)
                return True
            moved = move(tx, job.id, "paused")
            if moved is not None:
                self._tell(tx, "The job is paused", key=f"paused {moved.version}")
            return moved is not None

    def succeed(self, adapter: Path, trained_tokens: int) -> None:
        """The model under its ``ft:`` name, the result file, the last events: one transaction after the copies."""
        name = self.job.private["name"]
        kept = self._home / "models" / _folder(name)
        _copy(adapter, kept)
        results = jobs.write_file(self._store, self.job, "step_metrics.csv", job_events.results_csv(self._steps()))
        done = {"fine_tuned_model": name, "trained_tokens": trained_tokens, "result_files": [results]}
        dropped: Path | None = None
        with self._mine() as tx:
            if move(tx, self.job.id, "succeeded", done) is None:
                return
            self._model(tx, name, kept)
            last = tx.documents.page(CHECKPOINT, parent=self.job.id, limit=1).items
            if last:
                dropped = self._drop_model(tx, last[0].body["fine_tuned_model_checkpoint"])
                tx.documents.change(last[0], {"fine_tuned_model_checkpoint": name})
            self._tell(tx, f"New fine-tuned model created: {name}")
            self._tell(tx, "The job has successfully completed")
        if dropped is not None:
            shutil.rmtree(dropped, ignore_errors=True)

    def fail(self, message: str, code: str, param: str | None = None) -> None:
        with self._mine() as tx:
            jobs.fail(tx, self.job.id, {"code": code, "message": message, "param": param})

    def put_off(self, message: str, code: str, param: str | None = None) -> None:
        """What went wrong may be well again soon: give the job back, to be tried a little later."""
        with self._mine() as tx:
            error = {"code": code, "message": message, "param": param}
            setbacks.again(tx, self._item, error, f"{message} It is tried again.")

    @contextmanager
    def _mine(self) -> Iterator[Transaction]:
        """A transaction of the job's holder. Raises ``ClaimLost`` where another process has the job by now: two may
        take it for theirs when one of them was stopped for long, and only one may say how it ended."""
        with self._store.write() as tx:
            job = tx.documents.find(KIND, self.job.id)
            if not tx.work.beat(self._item) and job is not None and job.status not in ENDED:
                raise ClaimLost(f"{self.job.id} was claimed by another process.")
            yield tx

    def _tell(self, tx: Transaction, message: str, **more: Any) -> None:
        job_events.tell(tx, self.job.id, message, project=self.job.project, **more)

    def _estimate(self, step: int, total: int) -> int | None:
        """Unix seconds of the end by this process's own pace, at most once a second."""
        now = time.time()
        if self._first is None:
            self._first = (now, step)
        if step == self._first[1] or now - self._estimated < 1.0:
            return None
        self._estimated = now
        return int(now + (now - self._first[0]) / (step - self._first[1]) * (total - step))

    def _steps(self) -> list[Json]:
        """The metrics of every step, oldest first."""
        steps: dict[int, Json] = {}
        with self._store.read() as tx:
            after, more = None, True
            while more:
                page = tx.documents.page(job_events.KIND, parent=self.job.id, order="asc", limit=1000, after=after)
                steps |= {e.body["data"]["step"]: e.body["data"] for e in page.items if e.body["type"] == "metrics"}
                after, more = page.items[-1].id if page.items else None, page.has_more
        return [steps[step] for step in sorted(steps)]

    def _named(self, step: int) -> str:
        """The job's model name with an ending of this checkpoint's own, the same however often it is made."""
        return f"{self.job.private['name'].rpartition(':')[0]}:{self._digest(f'name {step}', 8)}"

    def _digest(self, what: str, length: int) -> str:
        number = int.from_bytes(hashlib.sha256(f"{self.job.id} {what}".encode()).digest(), "big")
        letters = []
        for _ in range(length):
            number, index = divmod(number, len(ALPHABET))
            letters.append(ALPHABET[index])
        return "".join(letters)

    def _model(self, tx: Transaction, name: str, path: Path) -> None:
        if tx.documents.find("model", name) is not None:
            return
        mine = self.job.private
        full = bool(mine["hyperparameters"].get("full"))
        owner = self.job.body["organization_id"]
        body = {"id": name, "object": "model", "created": int(time.time()), "owned_by": owner, "shutdown_date": None}
        private = {"root": mine["root"], "folder": mine["folder"], "path": str(path), "full": full, "job": self.job.id}
        tx.documents.create("model", body, project=self.job.project, private=private)

    def _old_checkpoints(self, tx: Transaction) -> list[Path]:
        """Forget all but the newest; returns their folders."""
        found = tx.documents.page(CHECKPOINT, parent=self.job.id, limit=100).items
        paths = []
        for old in sorted(found, key=lambda item: item.body["step_number"])[:-KEPT]:
            path = self._drop_model(tx, old.body["fine_tuned_model_checkpoint"])
            paths += [] if path is None else [path]
            tx.documents.delete(old)
        return paths

    def _drop_model(self, tx: Transaction, name: str) -> Path | None:
        model = tx.documents.find("model", name)
        if model is None:
            return None
        tx.documents.delete(model)
        return Path(model.private["path"])


def claim(store: Store, id: str, owner: str, *, concurrency: int, silence: float) -> WorkItem | None:
    """Take the job unless as many as may train at once are training; decided in one transaction for all servers."""
    with store.write() as tx:
        items = tx.work.waiting(WORK)
        held = {item.target for item in items if holds(item.owner, item.heartbeat, silence)}
        mine = next((item for item in items if item.target == id), None)
        if mine is None or id in held or len(held) >= concurrency:
            return None
        return tx.work.take(mine, owner)


def _only(values: dict[str, float], keys: Json) -> Json:
    return {key: value for key, value in values.items() if key in keys}


def _folder(name: str) -> str:
    """A model's name as a folder's."""
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in name)


def _copy(source: Path, target: Path) -> None:
    """The whole folder or nothing: copied under another name first."""
    if target.exists():
        return
    draft = target.with_name(f".{target.name}")
    shutil.rmtree(draft, ignore_errors=True)
    shutil.copytree(source, draft)
    draft.rename(target)
