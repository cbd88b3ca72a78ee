"""``hypotez import assistants``: threads that were exported elsewhere. Works on the store itself."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from hypotez.cli import _print
from hypotez.cli._connect import Json, open_store

app = typer.Typer(help="Bring what was kept elsewhere.", no_args_is_help=True)
Project = Annotated[str, typer.Option(help="Project whose keys see the objects.")]
SHOWN = 20  # faults printed in full


@app.callback()
def bring() -> None:
    """Bring what was kept elsewhere."""


@app.command("assistants")
def import_assistants(
    folder: Annotated[Path, typer.Argument(help="Folder with assistants.json and threads/*.json.")],
    project: Project = "default",
    json: Json = False,
) -> None:
    """Import assistants and threads exported from OpenAI, with their ids and times.

    Importing a folder again adds only what is missing. A file with a fault is left out and named.

    Example: hypotez import assistants ./assistants-export
    """
    from hypotez.transfer import read_export

    with open_store() as store:
        imported = read_export(store, folder, project=project)
    if json:
        _print.as_json(asdict(imported))
    else:
        counts = {name: count for name, count in asdict(imported).items() if name not in ("faults", "skipped")}
        typer.echo(", ".join(f"{count} {name}" for name, count in counts.items()))
        if imported.skipped:
            _print.notice(f"{imported.skipped} objects were here already.")
        for fault in imported.faults[:SHOWN]:
            typer.echo(str(fault), err=True)
        if len(imported.faults) > SHOWN:
            typer.echo(f"... and {len(imported.faults) - SHOWN} more faults; --json lists all.", err=True)
    if imported.faults:
        raise typer.Exit(1)
