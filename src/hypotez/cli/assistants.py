"""``hypotez assistants``: create, list, show, delete."""

from typing import Annotated, Any

import typer

from hypotez.cli import _print
from hypotez.cli._connect import Json, Model, connect

app = typer.Typer(help="Assistants: instructions and tools under a name.", no_args_is_help=True)
Id = Annotated[str, typer.Argument(help="The assistant's id, asst_...")]


@app.command()
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Its name.")],
    instructions: Annotated[str | None, typer.Option("--instructions", "-i", help="How it should behave.")] = None,
    model: Model = None,
    json: Json = False,
) -> None:
    """Create an assistant and print its id.

    Example: hypotez assistants create "Shop helper" --instructions "Answer in one sentence."
    """
    with connect(ctx, model) as asking:
        body: dict[str, Any] = {"model": asking.model, "name": name}
        if instructions is not None:
            body["instructions"] = instructions
        made = asking.client.beta.assistants.create(**body)
    if json:
        _print.as_json(made)
    else:
        typer.echo(made.id)


@app.command("list")
def list_assistants(ctx: typer.Context, json: Json = False) -> None:
    """List the assistants, newest first."""
    with connect(ctx) as asking:
        found = list(asking.client.beta.assistants.list(limit=100))
    if json:
        _print.as_json(found)
        return
    rows = [(a.id, a.name, a.model, _print.moment(a.created_at)) for a in found]
    _print.table(["id", "name", "model", "created"], rows, empty="No assistants yet: hypotez assistants create NAME")


@app.command()
def show(ctx: typer.Context, assistant: Id) -> None:
    """Print one assistant as JSON."""
    with connect(ctx) as asking:
        _print.as_json(asking.client.beta.assistants.retrieve(assistant))


@app.command()
def delete(ctx: typer.Context, assistant: Id) -> None:
    """Delete an assistant."""
    with connect(ctx) as asking:
        asking.client.beta.assistants.delete(assistant)
    _print.notice(f"Deleted {assistant}.")
