"""A job's metrics beyond its events: TensorBoard's event files, Weights & Biases; both kept in the data folder.

Nothing leaves this machine but to Weights & Biases, when a job asks for it, a key is there and the network is; without
them the run is kept for ``wandb sync``. A tracker that fails is dropped with a word: it never ends a training.
"""

import importlib.util
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from hypotez.errors import InvalidRequest
from hypotez.progress import Journal, StepMetrics, Wanted
from hypotez.store import Document
from hypotez.worker.weights_and_biases import WeightsAndBiases

Json = dict[str, Any]

log = logging.getLogger(__name__)


class Tracker(Protocol):
    name: str

    def open(self) -> str:
        """Begin, and say where the metrics go."""
        ...

    def hyperparameters(self, resolved: Mapping[str, float]) -> None: ...

    def metrics(self, step: int, numbers: Mapping[str, float]) -> None: ...

    def close(self, failed: bool) -> None: ...


class EventFiles:
    """TensorBoard's. After a kill the steps since the last state come again; a new start tells it to forget the old."""

    name = "TensorBoard"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: Any = None
        self._started = False

    def open(self) -> str:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._writer = EventFileWriter(str(self._folder), flush_secs=5)
        return f"in {self._folder}; show them: tensorboard --logdir '{self._folder.parent}'"

    def hyperparameters(self, resolved: Mapping[str, float]) -> None:
        """TensorBoard has a tab for them that wants a plugin's format; the job's own object tells them."""

    def metrics(self, step: int, numbers: Mapping[str, float]) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.compat.proto.summary_pb2 import Summary

        now = time.time()
        if not self._started:
            self._started = True
            start = SessionLog(status=SessionLog.START)
            self._writer.add_event(Event(wall_time=now, step=step, session_log=start))
        values = [Summary.Value(tag=tag, simple_value=number) for tag, number in numbers.items()]
        self._writer.add_event(Event(wall_time=now, step=step, summary=Summary(value=values)))

    def close(self, failed: bool) -> None:
        self._writer.close()


class Followed:
    """A journal whose metrics go to the trackers too."""

    def __init__(self, journal: Journal, trackers: Sequence[Tracker]) -> None:
        self._journal, self._trackers = journal, list(trackers)
        self._each(lambda tracker: journal.event(f"{tracker.name}: metrics go {tracker.open()}"))

    def event(self, message: str, level: str = "info", data: dict[str, Any] | None = None) -> None:
        self._journal.event(message, level, data)

    def hyperparameters(self, resolved: dict[str, float]) -> None:
        self._journal.hyperparameters(resolved)
        self._each(lambda tracker: tracker.hyperparameters(resolved))

    def metrics(self, told: StepMetrics) -> None:
        self._journal.metrics(told)
        numbers = {name: value for name, value in told.measured().items() if name not in ("step", "total_steps")}
        self._each(lambda tracker: tracker.metrics(told.step, flat(numbers)))

    def checkpoint(self, folder: Path, told: StepMetrics) -> None:
        self._journal.checkpoint(folder, told)

    def wanted(self) -> Wanted:
        return self._journal.wanted()

    def close(self, failed: bool) -> None:
        self._each(lambda tracker: tracker.close(failed))

    def _each(self, call: Callable[[Tracker], None]) -> None:
        for tracker in list(self._trackers):
            try:
                call(tracker)
            except Exception as exc:  # somebody else's program, somebody else's server: not worth the training
                log.exception("%s failed", tracker.name)
                self._trackers.remove(tracker)
                self._journal.event(f"{tracker.name} gets no more metrics: {type(exc).__name__}: {exc}", "warn")


@contextmanager
def followed(journal: Journal, job: Document, home: Path) -> Iterator[Journal]:
    """The journal with the job's integrations behind it, for as long as the block lasts."""
    trackers = [_tracker(one, job, home) for one in job.body.get("integrations") or ()]
    if not trackers:
        yield journal
        return
    follower = Followed(journal, trackers)
    failed = True
    try:
        yield follower
        failed = False
    finally:
        follower.close(failed)


def check_installed(kinds: Sequence[str]) -> None:
    """Raises ``InvalidRequest`` for the first whose package this server has not."""
    for place, kind in enumerate(kinds):
        if importlib.util.find_spec(kind) is None:
            raise InvalidRequest(
                f"The integration '{kind}' needs an optional part of this server. "
                "Install it: pip install 'hypotez[tracking]'",
                param=f"integrations[{place}].type",
            )


def flat(numbers: Mapping[str, Any]) -> dict[str, float]:
    """``train_loss`` as ``train/loss``, dictionaries opened up; what is no number is left out."""
    found: dict[str, float] = {}
    for name, value in numbers.items():
        if isinstance(value, Mapping):
            found |= {f"{name}/{inner}": number for inner, number in flat(value).items()}
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found["/".join(name.rsplit("_", 1))] = float(value)
    return found


def _tracker(integration: Json, job: Document, home: Path) -> Tracker:
    kind = integration["type"]
    if kind == "wandb":
        return WeightsAndBiases(integration[kind], job.id, job.body["model"], home)
    name = integration[kind].get("name") or job.id
    return EventFiles(home / "tensorboard" / "".join(c if c.isalnum() or c in "._-" else "_" for c in name).lstrip("."))
