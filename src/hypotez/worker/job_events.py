"""A job's events: documents under the job, newest first on the wire. Written once, however often they are told.

Ids are made from the job and the event's own key, so that a training that repeats its last steps after a kill
does not repeat their events.
"""

import hashlib
import time
from collections.abc import Mapping
from typing import Any

from hypotez.progress import StepMetrics
from hypotez.store import Transaction
from hypotez.worker import job_rewards

Json = dict[str, Any]

KIND = "fine_tuning.job.event"

COLUMNS = {  # of the result file, and what of a step's data stands there
    "step": "step",
    "train_loss": "train_loss",
    "train_accuracy": "train_mean_token_accuracy",
    "valid_loss": "valid_loss",
    "valid_mean_token_accuracy": "valid_mean_token_accuracy",
}


def tell(
    tx: Transaction,
    job: str,
    message: str,
    *,
    project: str,
    level: str = "info",
    data: Mapping[str, Any] | None = None,
    key: str | None = None,
    type: str = "message",
) -> None:
    """Append an event unless the job has one with this ``key`` (the message itself when none is given)."""
    digest = hashlib.blake2b(f"{job}\n{key or message}".encode(), digest_size=12).hexdigest()
    id = f"ftevent-{digest}"
    if tx.documents.find(KIND, id) is not None:
        return
    before = tx.documents.page(KIND, parent=job, limit=1).items
    body = {
        "id": id,
        "object": "fine_tuning.job.event",
        # lists are ordered by it: not before the last one, though the clock may have been set back since
        "created_at": max(int(time.time()), *(event.created_at for event in before), 0),
        "level": level,
        "message": message,
        "type": type,
        "data": dict(data or {}),
    }
    tx.documents.create(KIND, body, project=project, parent=job)
    tx.events.append(job, KIND, id)


def metrics(told: StepMetrics) -> tuple[str, Json]:
    """OpenAI's sentence and data for one step."""
    if told.rewards is not None:
        return job_rewards.metrics(told.step, told.total_steps, told.train_loss, told.rewards)
    text = f"Step {told.step}/{told.total_steps}: training loss={told.train_loss:.2f}"
    if told.valid_loss is not None:
        text += f", validation loss={told.valid_loss:.2f}"
    if told.full_valid_loss is not None:
        text += f", full validation loss={told.full_valid_loss:.2f}"
    return text, {name.replace("_accuracy", "_mean_token_accuracy"): value for name, value in told.measured().items()}


def results_csv(steps: list[Json]) -> str:
    """OpenAI's result file from the metrics of every step, oldest first; cells are empty where nothing was measured."""
    columns = job_rewards.COLUMNS if steps and "train_mean_reward" in steps[0] else COLUMNS
    lines = [",".join(columns)]
    lines += [",".join(_cell(step.get(key)) for key in columns.values()) for step in steps]
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.5f}" if isinstance(value, float) else str(value)
