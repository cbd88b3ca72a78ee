"""A fine-tuning job's object and the name of what it makes. Pure."""

import hashlib
import re
import secrets
import time
from dataclasses import dataclass
from typing import Any

from openai.types.fine_tuning import FineTuningJob

from hypotez.wire.door import shape
from hypotez.wire.fine_tuning_requests import NUMBERS
from hypotez.wire.ids import new_id, random_name
from hypotez.wire.integrations import shown as shown_integrations

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Base:
    """What a job starts from."""

    name: str  # as the job's ``model`` shows it: a local model or a tuned one
    root: str  # the local model at the bottom of it
    folder: str  # the root's folder or repository
    adapter: str | None = None  # PEFT folder of a tuned one


def new_job(
    base: Base,
    project: str,
    request: Json,
    method: str,
    hyperparameters: Json,
    threads: int,
    inside: Json | None = None,
) -> tuple[Json, Json]:
    """A job's body and private part. Everything that decides its numbers is fixed here.

    ``inside`` is what the method has beside hyperparameters (reinforcement: its grader), shown and kept.
    """
    id = new_id("ftjob")
    numbers = {name: hyperparameters[name] for name in NUMBERS}
    shown = {name: value for name, value in hyperparameters.items() if name not in ("full", "early_stopping")}
    body = shape(
        FineTuningJob,
        id=id,
        object="fine_tuning.job",
        created_at=int(time.time()),
        error=None,
        fine_tuned_model=None,
        finished_at=None,
        hyperparameters=numbers,
        model=base.name,
        organization_id=organization(project),
        result_files=[],
        status="validating_files",
        trained_tokens=None,
        training_file=request["training_file"],
        validation_file=request.get("validation_file"),
        estimated_finish=None,
        metadata=request.get("metadata"),
        seed=request["seed"] if request.get("seed") is not None else secrets.randbelow(2**31),
        user_provided_suffix=request.get("suffix"),
    )
    # the SDK's Literals know neither kto nor tensorboard, so these do not go through its type
    body["integrations"] = shown_integrations(request.get("integrations"))
    body["method"] = {"type": method, method: {**(inside or {}), "hyperparameters": shown}}
    private = {
        "root": base.root,
        "folder": base.folder,
        "start_adapter": base.adapter,
        "hyperparameters": hyperparameters,
        "method": method,
        **(inside or {}),
        "threads": threads,
        "name": model_name(base.root, project, request.get("suffix"), random_name(8)),
    }
    return body, private


def organization(project: str) -> str:
    """OpenAI's ``organization_id``: the same for all jobs of a project."""
    return f"org-{hashlib.sha256(project.encode()).hexdigest()[:24]}"


def model_name(root: str, project: str, suffix: str | None, ending: str) -> str:
    """``ft:pocket:personal:shop:9uJPbR69``; without a suffix that place stays empty."""
    owner = "personal" if project == "default" else _word(project)
    return f"ft:{root.replace(':', '-')}:{owner}:{_word(suffix or '')}:{ending}"


def _word(text: str) -> str:
    return re.sub(r"[^\w-]+", "-", text).strip("-").lower()
