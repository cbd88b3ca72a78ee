"""``hypotez train``: fine-tune on a file, a folder, or what was said so far."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hypotez.cli import _input, _print
from hypotez.cli._connect import Json, Model, connect
from hypotez.cli._data_options import Columns, Encoding, named_columns, read_grader
from hypotez.cli._watch import finish, going_on, watch

if TYPE_CHECKING:
    from hypotez.model import OpenAIModel


def train(
    ctx: typer.Context,
    source: Annotated[
        str | None, typer.Argument(help="A file or a folder of questions and answers; - reads CSV from standard input.")
    ] = None,
    from_dialogues: Annotated[
        bool, typer.Option("--from-dialogues", help="Learn from the saved dialogues, by marks and sentiment.")
    ] = False,
    model: Model = None,
    negative: Annotated[bool, typer.Option("--negative", help="These are examples of what not to say.")] = False,
    columns: Columns = None,
    encoding: Encoding = None,
    validation: Annotated[Path | None, typer.Option(help="File of examples to measure on, never trained on.")] = None,
    method: Annotated[str | None, typer.Option(help="supervised, dpo, kto or reinforcement.")] = None,
    grader: Annotated[
        Path | None, typer.Option(help="File with a grader (JSON) that rewards replies; the data are prompts then.")
    ] = None,
    suffix: Annotated[str | None, typer.Option(help="Part of the tuned model's name.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, max=50, help="Passes over the data.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, max=256, help="Examples per step.")] = None,
    lr_multiplier: Annotated[float | None, typer.Option(help="Factor on the learning rate.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Same seed, same model.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check the data and forecast time and size.")] = False,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Start the job, print its id, do not wait.")] = False,
    json: Json = False,
) -> None:
    """Fine-tune a model and serve the result under its own name at once.

    The job runs in a process of its own: Ctrl-C stops the watching, not the training.

    Example: hypotez train questions.csv --suffix shop
    """
    if (source is None) == (not from_dialogues):
        raise typer.BadParameter("give a file or folder, or --from-dialogues: one of them", param_hint="SOURCE")
    if from_dialogues and (columns or encoding or grader):
        what = "--columns, --encoding and --grader are for files"
        raise typer.BadParameter(what, param_hint="--from-dialogues")
    options: dict[str, Any] = {
        "validation": validation,
        "method": method,
        "suffix": suffix,
        "n_epochs": epochs,
        "batch_size": batch_size,
        "learning_rate_multiplier": lr_multiplier,
        "seed": seed,
        "dry_run": dry_run,
        "columns": named_columns(columns),
        "encoding": encoding,
        "grader": read_grader(grader),
    }
    given = {name: value for name, value in options.items() if value is not None and value is not False}
    started: Any
    with connect(ctx, model) as teaching:
        if source is not None:
            started = teaching.train(**_place(source), positive=not negative, progress=False, **given)
        else:
            with going_on(teaching):  # the old and the new model are compared at the end, so this waits by itself
                started = teaching.dynamic_train(wait=not (detach or dry_run), progress=not json, **given)
        if started is not None:  # else the log has said why there is nothing to learn from
            _report(teaching, started, dry_run, detach, json)


def _place(source: str) -> dict[str, Any]:
    """Which of ``train``'s three ways in the argument means."""
    if source == "-":
        return {"data": _input.text()}
    return {"data_dir": source} if Path(source).is_dir() else {"data_file": source}


def _report(teaching: "OpenAIModel", started: Any, dry_run: bool, detach: bool, json: bool) -> None:
    if dry_run:
        _print.as_json(asdict(started)) if json else typer.echo(str(started))
    elif detach:
        _print.as_json(teaching.client.fine_tuning.jobs.retrieve(started)) if json else typer.echo(started)
        _print.notice(f"Watch it: hypotez jobs watch {started}")
    else:
        if teaching.last_trial is not None and not json:
            typer.echo(str(teaching.last_trial))
        finish(watch(teaching, started, quiet=json or teaching.last_trial is not None), json)
