"""``hypotez data``: look at training data before it costs anything."""

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated

import typer

from hypotez.cli import _input, _print
from hypotez.cli._connect import Json
from hypotez.cli._data_options import Columns, Encoding, named_columns

if TYPE_CHECKING:
    from hypotez.data.check import Report

app = typer.Typer(help="Training data.", no_args_is_help=True)


@app.callback()
def data() -> None:
    """Look at training data before it costs anything."""


@app.command()
def check(
    source: Annotated[str, typer.Argument(help="A file or a folder; - reads CSV from standard input.")],
    method: Annotated[
        str | None, typer.Option(help="supervised, dpo, kto or reinforcement; told from the data when not given.")
    ] = None,
    negative: Annotated[bool, typer.Option("--negative", help="These are examples of what not to say.")] = False,
    columns: Columns = None,
    encoding: Encoding = None,
    json: Json = False,
) -> None:
    """List every fault of the data with file, line and field; forecast tokens and epochs. Exit code 1 on faults.

    Example: hypotez data check questions.csv
    """
    from hypotez.data import source as sources
    from hypotez.data.check import Method
    from hypotez.data.prepare import Wishes, inspect

    if method is not None and method not in list(Method):
        raise typer.BadParameter(f"{method!r} is not one of {', '.join(Method)}", param_hint="--method")
    wishes = Wishes(method=Method(method) if method else None, positive=not negative, columns=named_columns(columns))
    piped = [replace(each, name="standard input") for each in sources.find(data=_input.text())] if source == "-" else []
    report = inspect(piped or sources.find(data=source, encoding=encoding), wishes)
    if json:
        _print.as_json({**asdict(report), "ok": report.ok})
    else:
        _show(report)
    if not report.ok:
        raise typer.Exit(1)


def _show(report: "Report") -> None:
    from hypotez.data.forecast import forecast

    for fault in report.faults:
        _print.out().print(str(fault), style="red", markup=False, soft_wrap=True)
    for warning in report.warnings:
        _print.out().print(f"{warning} (a warning)", style="yellow", markup=False, soft_wrap=True)
    if report.ok:
        typer.echo(f"{report.path}: {forecast(report.method, report.n_examples, report.n_tokens, report.longest)}")
    else:
        number = f"{len(report.faults)} {'fault' if len(report.faults) == 1 else 'faults'}"
        _print.notice(f"{number}; nothing was uploaded. What is expected: docs/training.md#examples")
