"""Follow a fine-tuning job on the terminal: a bar with the loss, or one line per event where there is no terminal.

Watching is separate from training: Ctrl-C here ends the watching only, and says how to come back.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hypotez.cli import _print
from hypotez.errors import JobFailed

if TYPE_CHECKING:
    from openai import OpenAI
    from openai.types.fine_tuning import FineTuningJob, FineTuningJobEvent

    from hypotez.model import OpenAIModel

STILL = ("succeeded", "failed", "cancelled", "paused")  # nothing more comes by itself
SECONDS = 0.5  # between two looks
LINES = 20  # about so many steps are told where there is no bar to draw


def watch(model: "OpenAIModel", job_id: str, *, quiet: bool = False) -> "FineTuningJob":
    """Show the job until it ends or is paused; return it as it is then. ``quiet`` shows nothing."""
    with going_on(model, job_id):
        if sys.stderr.isatty() and not quiet:
            _draw(model, job_id)
        else:
            for event in follow(model.client, job_id):
                if not quiet and _is_worth_a_line(event):
                    _print.notice(event.message)
    return model.client.fine_tuning.jobs.retrieve(job_id)


@contextmanager
def going_on(model: "OpenAIModel", job_id: str | None = None) -> Iterator[None]:
    """Ctrl-C inside says that the job goes on, and how to watch it again."""
    try:
        yield
    except KeyboardInterrupt:
        job = job_id or model.current_job_id
        if job:
            _print.notice(f"Training goes on. Watch it again: hypotez jobs watch {job}")
        raise


def follow(client: "OpenAI", job_id: str) -> Iterator["FineTuningJobEvent"]:
    """The job's events, oldest first, each once, until the job ends or is paused."""
    seen: set[str] = set()
    while True:
        status = client.fine_tuning.jobs.retrieve(job_id).status
        yield from _fresh(client, job_id, seen)
        if status in STILL:
            return
        time.sleep(SECONDS)


def _is_worth_a_line(event: "FineTuningJobEvent") -> bool:
    """Every message, and about twenty of the steps."""
    numbers = event.data if event.type == "metrics" and isinstance(event.data, dict) else {}
    step, total = int(numbers.get("step") or 0), int(numbers.get("total_steps") or 0)
    return step % max(1, total // LINES) == 0 or step == total


def _fresh(client: "OpenAI", job_id: str, seen: set[str]) -> list["FineTuningJobEvent"]:
    """Events not in ``seen``, oldest first; they are in ``seen`` afterwards. The wire lists newest first."""
    found: list[FineTuningJobEvent] = []
    for event in client.fine_tuning.jobs.list_events(job_id, limit=50):
        if event.id in seen:
            break
        found.append(event)
    seen |= {event.id for event in found}
    return found[::-1]


def _draw(model: "OpenAIModel", job_id: str) -> None:
    from hypotez.model.progress import job_bar

    with job_bar(True) as draw:
        while True:
            job = model.job(job_id)
            draw(job)
            if job.status in STILL:
                return
            time.sleep(SECONDS)


def finish(job: "FineTuningJob", json: bool) -> None:
    """Say how the job ended. Raises ``JobFailed`` when it ended without a model."""
    if json:
        _print.as_json(job)
    if job.status == "failed":
        reason = (job.error and job.error.message) or "no reason was recorded"
        raise JobFailed(f"{job.id} failed: {reason}", job=job, hint=f"Its events: hypotez jobs watch {job.id}")
    if json:
        return
    status: str = job.status  # the SDK's Literal lacks "paused"
    if status == "succeeded":
        _print.notice(f'Ask it: hypotez ask -m {job.fine_tuned_model} "..."')
    elif status == "paused":
        _print.notice(f"{job.id} is paused. Go on: hypotez jobs resume {job.id}")
    else:
        _print.notice(f"{job.id} is {status}.")
