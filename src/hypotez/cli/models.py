"""``hypotez models``: what can be asked, and how to get rid of a tuned one."""

from typing import Annotated

import typer

from hypotez.cli import _print
from hypotez.cli._connect import Json, connect

app = typer.Typer(invoke_without_command=True)


@app.callback()
def models(ctx: typer.Context, json: Json = False) -> None:
    """List the models that can be asked: built in, loaded, tuned here, and of the upstreams.

    Example: hypotez models --json
    """
    if not ctx.invoked_subcommand:
        list_models(ctx, json)


@app.command("list")
def list_models(ctx: typer.Context, json: Json = False) -> None:
    """The same as `hypotez models`."""
    with connect(ctx) as asking:
        found = list(asking.client.models.list())
    if json:
        _print.as_json(found)
        return
    rows = [(m.id, m.owned_by, _print.moment(m.created)) for m in found]
    _print.table(["model", "owner", "created"], rows, empty="No models.")


@app.command()
def delete(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(help="Name of a tuned model, ft:...")],
) -> None:
    """Delete a tuned model.

    Example: hypotez models delete ft:pocket:personal:shop:9uJPbR69
    """
    with connect(ctx) as asking:
        asking.client.models.delete(model)
    _print.notice(f"Deleted {model}.")
