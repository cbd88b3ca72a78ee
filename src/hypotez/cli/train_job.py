"""The training process of one job: ``python -m hypotez.cli.train_job JOB_ID --home FOLDER``.

Started by a server's supervisor, in a session of its own, so that it goes on when the server ends; it may be killed at
any instant and started again. Assembles the store and the training room; decides nothing about numbers.
"""

import argparse
import logging
import os
import shutil
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from hypotez import spans
from hypotez.errors import HypotezError
from hypotez.settings import Settings
from hypotez.store import Document, Store
from hypotez.worker import jobs, setbacks
from hypotez.worker.children import owner_name
from hypotez.worker.job_states import KIND
from hypotez.worker.tracking import followed
from hypotez.worker.training import Room, Supervisor
from hypotez.worker.training_journal import ClaimLost, TrainingJournal, claim

if TYPE_CHECKING:
    from hypotez.training.exploration import Reinforcement
    from hypotez.training.spec import Result, Spec

MOST_PARTS = 64  # a batch is worked through in so many times more parts at most where memory is short
DEATHS = 5  # of a process at one step, before that may be a matter of memory

log = logging.getLogger("hypotez.train_job")


def main(arguments: list[str] | None = None) -> int:
    """0 when the job ended or was given back, 1 when it could not be taken."""
    options = _options(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    os.nice(5)  # serving goes on while training runs
    home = Path(options.home)
    store = Store.open(options.database or f"sqlite:///{home / 'hypotez.db'}", home)
    if (endpoint := Settings.load().telemetry.endpoint) is not None:
        spans.configure(endpoint)
    room = Room(home, options.database or f"sqlite:///{home / 'hypotez.db'}", options.concurrency, options.silence)
    try:
        item = claim(store, options.job, owner_name(), concurrency=room.concurrency, silence=room.silence)
        if item is None:
            log.info("%s is not to be trained now", options.job)
            return 1
        with store.read() as tx:
            job = tx.documents.get(KIND, options.job)
        journal = TrainingJournal(store, home, job, item)
        signal.signal(signal.SIGTERM, lambda *_: journal.leaving.set())
        journal.keep_alive(room.silence / 4)
        with spans.span(
            "fine_tuning.job", {"hypotez.job.id": job.id, "gen_ai.request.model": job.body["model"]}
        ) as span:
            _work(journal, home)
            with store.read() as tx:
                span.set(hypotez__job__status=str(tx.documents.get(KIND, job.id).status))
        if not journal.leaving.is_set():
            Supervisor(store, room).tick()  # the next one in the queue, in case no server is there to start it
        return 0
    except ClaimLost as exc:
        log.warning("%s", exc)
        return 1
    finally:
        store.close()
        spans.close()


def _work(journal: TrainingJournal, home: Path) -> None:
    """Train, and end the job in the state it deserves."""
    folder = jobs.job_folder(home, journal.job.id)
    try:
        if journal.begin():
            _train(journal, folder, home)
    except ClaimLost:
        raise
    except (MemoryError, OSError, RuntimeError, HypotezError) as exc:
        log.exception("the job failed")
        (journal.put_off if setbacks.is_full(exc) else journal.fail)(*_told(exc))
    except Exception as exc:
        log.exception("the job failed")
        journal.fail(f"The training stopped with an error of its own: {type(exc).__name__}: {exc}", "server_error")
    if journal.ended():
        _sweep(folder)


def _train(journal: TrainingJournal, folder: Path, home: Path) -> None:
    from hypotez.nn.load import find  # seconds of importing torch, after the claim is kept alive
    from hypotez.training.job import train

    base = find(journal.job.private["folder"])
    check_memory(journal.job, base)
    with _means(journal, base, home) as means, followed(journal, journal.job, home) as told:
        while True:
            result = within_memory(
                lambda spec: train(spec, told, means), _spec(journal.job, base, folder, home), journal
            )
            if result.adapter is not None:
                journal.succeed(result.adapter, result.trained_tokens)
                return
            if result.stopped == "cancel" or journal.paused():
                return


def _means(journal: TrainingJournal, base: Path, home: Path) -> "AbstractContextManager[Reinforcement | None]":
    """What reinforcement needs; the other methods do not wait until it is imported."""
    if "grader" not in journal.job.private:
        return nullcontext()
    from hypotez.cli._reinforcement import reinforcement

    return reinforcement(journal.job, base, home, journal.store)


def _reward(job: Document) -> str:
    if "grader" not in job.private:
        return ""
    from hypotez.cli._reinforcement import reward_of

    return reward_of(job)


def within_memory(run: "Callable[[Spec], Result]", spec: "Spec", journal: TrainingJournal) -> "Result":
    """Train; where memory runs out, go on from the last state with half as many tokens at once, and say so."""
    while True:
        try:
            return run(spec)
        except (MemoryError, RuntimeError) as exc:
            if not is_out_of_memory(exc) or spec.parts >= MOST_PARTS:
                raise
            log.warning("out of memory: %s", exc)
        spec = replace(spec, parts=2 * spec.parts)
        journal.event(
            f"Out of memory: going on with 1/{spec.parts} of the tokens at once, to the same gradient", "warn"
        )


def is_out_of_memory(error: Exception) -> bool:
    """Python's own error, or torch's: the allocator of the processor and that of a GPU say it in words only."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or "can't allocate memory" in text or "out of memory" in text


def _parts(job: Document) -> int:
    """More of them where the process died again and again at one step: the kernel kills who takes too much memory."""
    died = job.private.get("setbacks", 0) if job.private.get("setback_step") == job.private.get("step", 0) else 0
    return int(min(MOST_PARTS, 2 ** max(0, died - DEATHS)))


def _spec(job: Document, base: Path, folder: Path, home: Path) -> "Spec":
    from hypotez.training.spec import Spec

    mine, chosen = job.private, job.private["hyperparameters"]
    validation = jobs.data_path(home, job.id, "validation_file") if job.body.get("validation_file") else None
    return Spec(
        base=str(base),
        training_file=jobs.data_path(home, job.id, "training_file"),
        work=folder / "work",
        method=mine["method"],
        validation_file=validation,
        start_adapter=Path(mine["start_adapter"]) if mine.get("start_adapter") else None,
        n_epochs=chosen["n_epochs"],
        batch_size=chosen["batch_size"],
        learning_rate_multiplier=chosen["learning_rate_multiplier"],
        beta=chosen.get("beta", "auto"),
        sft_weight=chosen.get("sft_weight", "auto"),
        seed=job.body["seed"],
        full=bool(chosen.get("full")),
        early_stopping=int(chosen.get("early_stopping") or 0),
        compute_multiplier=chosen.get("compute_multiplier", "auto"),
        eval_interval=chosen.get("eval_interval", "auto"),
        eval_samples=chosen.get("eval_samples", "auto"),
        reward=_reward(job),
        threads=mine["threads"],
        parts=_parts(job),
    )


def check_memory(job: Document, folder: Path) -> None:
    """Refuse a job whose weights alone do not fit, before the whole machine suffers. Raises ``MemoryError``."""
    weights = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    # a full fine-tuning holds the weights, their gradients and two moments, all in float32
    needed = weights * (8 if job.private["hyperparameters"].get("full") else 1)
    free = psutil.virtual_memory().available
    if needed > free:
        raise MemoryError(f"it needs at least {needed / 1e9:.1f} GB of memory, {free / 1e9:.1f} GB are free")


def _told(exc: Exception) -> tuple[str, str, str | None]:
    """Message, code and param of a job's error."""
    text = str(exc)
    if is_out_of_memory(exc):
        why = f": {text}" if isinstance(exc, MemoryError) and text else ""
        cure = "Use a smaller model or shorter examples, or end other programs."
        return f"There is not enough memory for this job{why}. {cure}", "out_of_memory", None
    if setbacks.is_full(exc):
        return f"The disk is full or cannot be written: {text} Free some space.", "disk_full", None
    if isinstance(exc, HypotezError):
        return exc.message, exc.code or exc.type, exc.param
    return f"The training stopped with an error: {type(exc).__name__}: {text}", "server_error", None


def _sweep(folder: Path) -> None:
    """Keep the log; states and data served their purpose."""
    shutil.rmtree(folder / "work", ignore_errors=True)
    for name in ("training_file", "validation_file"):
        (folder / f"{name}.jsonl").unlink(missing_ok=True)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m hypotez.cli.train_job", description=__doc__)
    parser.add_argument("job", help="id of the job")
    parser.add_argument("--home", required=True, help="folder of everything hypotez writes")
    # not as an option: everybody on the machine may read a process's options, and a URL may hold a password
    parser.set_defaults(database=os.environ.get("HYPOTEZ_DATABASE", ""))
    parser.add_argument("--concurrency", type=int, default=1, help="jobs that may train at once")
    parser.add_argument("--silence", type=float, default=15.0, help="seconds of silence after which a job is orphaned")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
