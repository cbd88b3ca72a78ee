"""/v1/fine_tuning/jobs: create, list, retrieve, cancel, pause, resume, events, checkpoints."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from hypotez.errors import InvalidRequest
from hypotez.server.answers import answer
from hypotez.server.context import Context, Ctx
from hypotez.server.graders import check_grader
from hypotez.server.reading import json_router
from hypotez.store import Document, Transaction
from hypotez.wire.fine_tuning import Base, new_job
from hypotez.wire.fine_tuning_requests import CreateJob, Reinforcement
from hypotez.wire.paging import Limit, ListQuery, listing
from hypotez.worker import job_events, job_states, jobs, turns
from hypotez.worker.tracking import check_installed

Json = dict[str, Any]

CHECKPOINT = "fine_tuning.job.checkpoint"

router = json_router()


class CheckpointQuery(ListQuery):
    limit: Limit = 10


@router.post("/fine_tuning/jobs")
def create(body: CreateJob, ctx: Ctx) -> Response:
    """Queue a job. Faults of its data come after: as status ``failed``, an error and an event."""
    method, hyperparameters = body.way()
    check_installed([integration.type for integration in body.integrations or ()])
    inside = _inside(body.reinforcement(), ctx)
    with ctx.store.write() as tx:
        made = ctx.once.find(tx, job_states.KIND)
        if made is None:
            base = _base(tx, body.model, ctx)
            for name in ("training_file", "validation_file"):
                _check_file(tx, getattr(body, name), name, ctx.project)
            shown, private = new_job(
                base, ctx.project, body.sent(), method, hyperparameters, ctx.services.training_threads, inside
            )
            private["key"] = ctx.caller.key  # keys take turns
            made = tx.documents.create(
                job_states.KIND, shown, project=ctx.project, private=private, request=ctx.once.fingerprint
            )
            jobs.begin(tx, made)
    ctx.services.wake(job_states.VALIDATION)
    return ctx.created(made)


@router.get("/fine_tuning/jobs")
def list_jobs(ctx: Ctx, query: Annotated[ListQuery, Query()]) -> Response:
    """Newest first; ``metadata[team]=sales`` keeps the jobs with that value."""
    wanted = {
        key[len("metadata[") : -1]: value
        for key, value in ctx.request.query_params.items()
        if key.startswith("metadata[") and key.endswith("]")
    }
    with ctx.store.read() as tx:
        page = tx.documents.page(
            job_states.KIND, project=ctx.project, limit=query.limit, after=query.after, metadata=wanted
        )
        at_once = ctx.services.training_at_once
        return answer(listing([_shown(tx, job, at_once) for job in page.items], page.has_more))


@router.get("/fine_tuning/jobs/{job_id}")
def retrieve(job_id: str, ctx: Ctx) -> Response:
    with ctx.store.read() as tx:
        return answer(_shown(tx, job_states.find(tx, job_id, ctx.project), ctx.services.training_at_once))


@router.post("/fine_tuning/jobs/{job_id}/cancel")
def cancel(job_id: str, ctx: Ctx) -> Response:
    return _moved(job_id, ctx, job_states.cancel, "The job was cancelled")


@router.post("/fine_tuning/jobs/{job_id}/pause")
def pause(job_id: str, ctx: Ctx) -> Response:
    return _moved(job_id, ctx, job_states.pause, "The job was asked to pause")


@router.post("/fine_tuning/jobs/{job_id}/resume")
def resume(job_id: str, ctx: Ctx) -> Response:
    return _moved(job_id, ctx, job_states.resume, "The job was resumed")


@router.get("/fine_tuning/jobs/{job_id}/events")
def list_events(job_id: str, ctx: Ctx, query: Annotated[ListQuery, Query()]) -> Response:
    """Newest first, as OpenAI gives them."""
    return _children(job_id, ctx, job_events.KIND, query)


@router.get("/fine_tuning/jobs/{job_id}/checkpoints")
def list_checkpoints(job_id: str, ctx: Ctx, query: Annotated[CheckpointQuery, Query()]) -> Response:
    """The last three; the newest carries the name of the finished model."""
    return _children(job_id, ctx, CHECKPOINT, query)


def _inside(reinforcement: Reinforcement | None, ctx: Context) -> Json:
    """What a job of reinforcement has beside its hyperparameters. Raises ``InvalidRequest`` for a grader at fault."""
    if reinforcement is None:
        return {}
    check_grader(reinforcement.grader, ctx.services.python_graders)
    return {key: value for key, value in reinforcement.sent().items() if key != "hyperparameters"}


def _base(tx: Transaction, model: str, ctx: Context) -> Base:
    services = ctx.services
    tuned = tx.documents.find("model", model, project=ctx.project) if model.startswith("ft:") else None
    if tuned is not None:
        mine = tuned.private
        return Base(model, mine["root"], mine["path"] if mine.get("full") else mine["folder"],
                    None if mine.get("full") else mine["path"])  # fmt: skip
    name = services.router.base_of(model, services.bases)
    if name is None:
        raise InvalidRequest(
            f"Model {model} is not available for fine-tuning or does not exist.", code="model_not_available"
        )
    return Base(name, name, services.bases[name])


def _check_file(tx: Transaction, id: str | None, param: str, project: str) -> None:
    if id is None:
        return
    found = tx.documents.find("file", id, project=project)
    if found is None:
        raise InvalidRequest(f"No such File object: {id}", param=param, code="invalid_file")
    if found.body["purpose"] != "fine-tune":
        raise InvalidRequest(
            f"File '{id}' has purpose '{found.body['purpose']}', but a {param} must have purpose 'fine-tune'.",
            param=param,
            code="invalid_file",
        )


def _moved(job_id: str, ctx: Context, step: Callable[[Transaction, str, str], Document], message: str) -> Response:
    with ctx.store.write() as tx:
        before = job_states.find(tx, job_id, ctx.project)
        moved = step(tx, job_id, ctx.project)
        if moved.version != before.version:
            # a job may be paused and resumed many times: each is an event of its own
            job_events.tell(tx, job_id, message, project=ctx.project, key=f"{message} {moved.version}")
        shown = _shown(tx, moved, ctx.services.training_at_once)
    for kind in (job_states.VALIDATION, job_states.WORK):
        ctx.services.wake(kind)
    return answer(shown)


def _shown(tx: Transaction, job: Document, at_once: int) -> Json:
    """The job's body; one that waits says for how many others."""
    if job.status != "queued":
        return job.body
    ahead = turns.places(tx.work.waiting(job_states.WORK)).get(job.id, 0)
    return {**job.body, "queue": {"ahead": ahead, "reason": turns.reason(ahead, at_once)}}


def _children(job_id: str, ctx: Context, kind: str, query: ListQuery) -> Response:
    with ctx.store.read() as tx:
        job_states.find(tx, job_id, ctx.project)
        page = tx.documents.page(kind, parent=job_id, limit=query.limit, after=query.after, before=query.before)
    return answer(listing([item.body for item in page.items], page.has_more))
