"""``hypotez jobs``: list, watch, cancel, pause and resume fine-tuning jobs, whoever started them."""

from typing import Annotated

import typer

from hypotez.cli import _print
from hypotez.cli._connect import Json, connect
from hypotez.cli._watch import finish, watch

app = typer.Typer(help="Fine-tuning jobs.", no_args_is_help=True)
Id = Annotated[str, typer.Argument(help="The job's id, ftjob-...")]


@app.command("list")
def list_jobs(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many, newest first.")] = 20,
    json: Json = False,
) -> None:
    """List the jobs, newest first."""
    with connect(ctx) as asking:
        found = asking.client.fine_tuning.jobs.list(limit=limit).data
    if json:
        _print.as_json(found)
        return
    rows = [(j.id, j.status, j.fine_tuned_model or j.model, _print.moment(j.created_at)) for j in found]
    _print.table(["job", "status", "model", "created"], rows, empty="No jobs yet: hypotez train FILE")


@app.command("watch")
def watch_job(
    ctx: typer.Context,
    job: Annotated[str | None, typer.Argument(help="The job's id; without one, the newest job.")] = None,
    json: Json = False,
) -> None:
    """Follow a job until it ends. Ctrl-C stops watching, not the job.

    Example: hypotez jobs watch
    """
    with connect(ctx) as asking:
        if job is None:
            newest = asking.client.fine_tuning.jobs.list(limit=1).data
            if not newest:
                _print.notice("No jobs yet: hypotez train FILE")
                return
            job = newest[0].id
        finish(watch(asking, job, quiet=json), json)


@app.command()
def cancel(ctx: typer.Context, job: Id) -> None:
    """Cancel a job; what it has learned so far is dropped."""
    with connect(ctx) as asking:
        _say(asking.client.fine_tuning.jobs.cancel(job).status, job)


@app.command()
def pause(ctx: typer.Context, job: Id) -> None:
    """Pause a job at its next checkpoint, to go on later with `hypotez jobs resume`."""
    with connect(ctx) as asking:
        _say(asking.client.fine_tuning.jobs.pause(job).status, job)


@app.command()
def resume(ctx: typer.Context, job: Id) -> None:
    """Go on with a paused job."""
    with connect(ctx) as asking:
        _say(asking.client.fine_tuning.jobs.resume(job).status, job)


def _say(status: str, job: str) -> None:
    _print.notice(f"{job}: {status}. Follow it: hypotez jobs watch {job}")
