"""The engine's thread. Requests come in from any event loop, and what they get goes back once per step.

torch releases Python's lock while it computes, so one thread per base model is enough. Only this thread touches
the engine; the others leave notes in ``_inbox``.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from hypotez.engine.engine import Engine, Said
from hypotez.engine.mailbox import Mailbox
from hypotez.engine.pieces import Pieces
from hypotez.engine.reply import Reply
from hypotez.engine.sequence import Finish, Sequence
from hypotez.errors import HypotezError, Overloaded, ServerError
from hypotez.nn.memory import give_back, keep_few

OVERTAKEN_SECONDS = 0.5  # that a request waits for an adapter slot while others go on using the loaded ones
TOGETHER_SECONDS = 0.0005  # that tokens wait for the next ones: to wake an event loop takes as long as a small step
IDLE_SECONDS = 1.0  # without a request before memory is returned to the system

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Job:
    """One request on its way: its sequences, what they have said, and where that goes."""

    sequences: list[Sequence]
    replies: list[Reply]
    mailbox: Mailbox  # of the event loop that asks
    adapter: Path | None = None
    pieces: Pieces = field(default_factory=Pieces)
    open: int = 0  # sequences not finished yet
    begun: bool = False  # the prompt is computed, so that the other choices find it in the prefix cache
    arrived: float = field(default_factory=time.perf_counter)
    first_said: float | None = None  # when the first token came


class Runner:
    """Runs one ``Engine`` until ``close``."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.engine = engine
        self._inbox: deque[Callable[[], None]] = deque()
        self._wake = threading.Event()
        self._closed = False
        self._places: dict[Sequence, tuple[Job, int]] = {}
        self._postponed: deque[tuple[Job, int]] = deque()  # every adapter slot is in use
        self._unread: set[Mailbox] = set()  # in which something was put since ``_rang``
        self._rang = 0.0
        self._thread = threading.Thread(target=self._run, name=f"engine {name}", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Raises ``Overloaded`` when too many wait already."""
        if self._closed:
            raise ServerError("The engine has stopped.")
        options, metrics = self.engine.options, self.engine.metrics
        waiting = len(self.engine.scheduler.waiting) + len(self._inbox) + len(self._postponed)
        if waiting + len(job.sequences) > options.max_queue + options.max_batch - len(self.engine.scheduler.running):
            metrics.refused += 1
            retry_after = metrics.retry_after(waiting, options.max_batch)
            raise Overloaded(
                f"{waiting} requests are waiting for this model already; try again in {retry_after:.0f} s.",
                retry_after=retry_after,
            )
        job.open = len(job.sequences)
        self._leave(lambda: self._begin(job))

    def cancel(self, job: Job) -> None:
        """The client has gone: nothing more is computed for it."""
        self._leave(lambda: self._end(job))

    def call(self, function: Callable[[], Any]) -> "asyncio.Future[Any]":
        """Run ``function`` between two steps; the future is of the running event loop."""
        mailbox, future = Mailbox.here(), asyncio.get_running_loop().create_future()

        def run() -> None:
            try:
                result = function()
            except BaseException as exc:  # handed to whoever asked
                mailbox.leave(partial(_settle, future, None, exc))
            else:
                mailbox.leave(partial(_settle, future, result, None))

        self._leave(run)
        return future

    def close(self) -> None:
        """Stop after the current step; whoever still waits is told so."""
        self._closed = True
        self._wake.set()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _leave(self, note: Callable[[], None]) -> None:
        self._inbox.append(note)
        self._wake.set()

    def _run(self) -> None:
        keep_few()
        while not self._closed:
            self._ring()
            if not (self._inbox or self._postponed or self.engine.busy) and not self._wake.wait(IDLE_SECONDS):
                give_back()
                self._wake.wait()
            self._wake.clear()
            while self._inbox:
                self._inbox.popleft()()
            for _ in range(len(self._postponed)):
                self._add(*self._postponed.popleft())
            try:
                self._deliver(self.engine.step())
            except Exception as exc:  # the engine's outermost loop: those in the batch are told, the others go on
                log.exception("A step of the engine failed")
                self._fail(ServerError(f"The engine failed: {exc}"), self.engine.scheduler.running)
        self._ring()
        while self._inbox:  # left behind by requests that came in at the last moment
            self._inbox.popleft()()
        stopped = ServerError("The engine was stopped.")
        for job, _ in self._postponed:
            _break(job, stopped)
        self._fail(stopped, list(self._places))

    def _begin(self, job: Job) -> None:
        """The first choice goes ahead; the others follow once its prompt is in the prefix cache."""
        self._add(job, 0)
        if not self.engine.options.prefix_cache:
            self._follow(job)

    def _follow(self, job: Job) -> None:
        for index in range(1, len(job.sequences)):
            self._add(job, index)

    def _add(self, job: Job, index: int) -> None:
        sequence = job.sequences[index]
        if job.open == 0:
            return  # cancelled while it was waiting for a slot
        if job.adapter is not None and (not self.engine.adapters.can_hold(sequence.owner) or self._overtakes(job)):
            self._postponed.append((job, index))
            return
        try:
            self.engine.add(sequence, job.adapter)
        except HypotezError as exc:
            self._end(job)
            _break(job, exc)
        else:
            self._places[sequence] = (job, index)

    def _overtakes(self, job: Job) -> bool:
        """Somebody who came earlier has waited for a slot too long: whoever keeps the slots in use waits behind."""
        late = time.perf_counter() - OVERTAKEN_SECONDS
        return any(other.arrived < min(job.arrived, late) for other, _ in self._postponed)

    def _end(self, job: Job) -> None:
        for sequence in job.sequences:
            if self._places.pop(sequence, None) is not None and sequence.finish is None:
                self.engine.end(sequence)
        job.open = 0

    def _fail(self, error: HypotezError, sequences: list[Sequence]) -> None:
        for sequence in list(sequences):
            place = self._places.get(sequence)
            if place is not None:
                self._end(place[0])
                _break(place[0], error)

    def _deliver(self, said: list[Said]) -> None:
        """Leave what this step gave with the event loops that asked; ``_ring`` tells them."""
        for one in said:
            place = self._places.get(one.sequence)
            if place is None:
                continue
            job, index = place
            choices = job.replies[index].push(one.token, one.logprob, one.sequence.finish)
            if not job.begun:
                job.begun = True
                job.first_said = time.perf_counter()
                self.engine.metrics.first_token(job.first_said - job.arrived)
                if self.engine.options.prefix_cache:
                    self._follow(job)
            if choices:
                job.mailbox.put(partial(job.pieces.add, choices))
                self._unread.add(job.mailbox)
            if job.replies[index].over and one.sequence.finish is None:
                self.engine.end(one.sequence, Finish.STOP)
            if one.sequence.finish is not None:
                del self._places[one.sequence]
                job.open -= 1
                if job.open == 0:
                    self.engine.metrics.ended(time.perf_counter() - job.arrived)
                    job.mailbox.put(job.pieces.end)
                    self._unread.add(job.mailbox)

    def _ring(self) -> None:
        """Tell the event loops of what lies there: at once, but not for every step where steps are quick."""
        now = time.perf_counter()
        late = now - self._rang >= TOGETHER_SECONDS
        if self._unread and (late or self._closed or not self.engine.busy):
            for mailbox in self._unread:
                mailbox.ring()
            self._unread.clear()
            self._rang = now


def _break(job: Job, error: HypotezError) -> None:
    job.mailbox.leave(partial(job.pieces.end, error))


def _settle(future: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
    if future.cancelled():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)
