"""The command line: one file per command word, assembled here.

Importing this opens nothing and loads neither torch, openai nor the server: each command imports what it needs when it
runs, so that ``hypotez --help`` stays quick. Errors become one red line in ``_print.py``; exit codes are 0, 1 for an
error, 2 for a mistake in the command itself, 130 for Ctrl-C.
"""

import atexit
import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from hypotez.cli import (
    _print,
    ask,
    assistants,
    chat,
    data,
    demo,
    describe,
    export,
    jobs,
    keys,
    models,
    sentiment,
    serve,
    top,
    train,
    transfer,
)
from hypotez.cli._connect import Connection
from hypotez.cli._interrupt import after_imports
from hypotez.cli._options import in_front, refuse_idle

INTERRUPTED = 130  # the exit code after Ctrl-C


class Commands(TyperGroup):
    """The group that turns every known error into a red line with its cure. A bug keeps its traceback."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, in_front(args))

    def invoke(self, ctx: Any) -> Any:
        try:
            with after_imports():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            _print.notice("Stopped.")
            raise
        except Exception as exc:
            if not _print.error(exc):
                raise
            raise typer.Exit(1) from exc


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # locals may hold keys
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Ask, remember, train, ask again: OpenAI's chat, assistants and fine-tuning on your own machine.",
)


def _version(wanted: bool) -> None:
    if wanted:
        from hypotez import __version__

        typer.echo(f"hypotez {__version__}")
        raise typer.Exit


@app.callback()
def options(
    ctx: typer.Context,
    base_url: Annotated[
        str | None,
        typer.Option(
            envvar="HYPOTEZ_BASE_URL", help="Talk to this server instead of starting one; may stand after the command."
        ),
    ] = None,
    api_key: Annotated[
        str | None, typer.Option(help="Key for that server; without --base-url, a key of OpenAI's.")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    refuse_idle(ctx)
    ctx.obj = Connection(base_url=base_url or None, api_key=api_key or None)


app.command("demo")(demo.demo)
app.command("ask")(ask.ask)
app.command("chat")(chat.chat)
app.command("describe")(describe.describe)
app.command("train")(train.train)
app.add_typer(jobs.app, name="jobs")
app.add_typer(models.app, name="models")
app.add_typer(assistants.app, name="assistants")
app.add_typer(keys.app, name="keys")
app.add_typer(data.app, name="data")
app.command("sentiment")(sentiment.sentiment)
app.add_typer(transfer.app, name="import")
app.command("export")(export.export)
app.command("serve")(serve.serve)
app.command("top")(top.top)


def main() -> None:
    """The command as a whole process. After Ctrl-C what is open is closed, and nothing else is waited for: Python's own
    end would stop a thread in the middle of C++ (torch being imported, say), and the process would abort.
    """
    try:
        app()
    except SystemExit as ended:
        if ended.code != INTERRUPTED:
            raise
        atexit._run_exitfuncs()  # there is no public name for it
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(INTERRUPTED)
