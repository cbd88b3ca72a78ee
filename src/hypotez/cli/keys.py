"""``hypotez keys``: who may use the server. Works on the store itself, so that the first key needs no key."""

from typing import Annotated

import typer

from hypotez.cli import _print
from hypotez.cli._connect import Json, open_store

app = typer.Typer(help="API keys of the server.", no_args_is_help=True)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose key it is, for the list.")],
    project: Annotated[str, typer.Option(help="A key sees only the objects of its project.")] = "default",
    admin: Annotated[bool, typer.Option("--admin", help="It may also list every thread.")] = False,
    rate: Annotated[int | None, typer.Option(min=1, help="Requests a minute it may make.")] = None,
    max_body: Annotated[int | None, typer.Option(min=1, help="Bytes a request of it may have.")] = None,
    json: Json = False,
) -> None:
    """Make a key and print it, this once: only its hash is kept.

    Example: hypotez keys create alice --project shop
    """
    from hypotez.server.auth import create_key

    with open_store() as store:
        key, made = create_key(store, name, project=project, admin=admin, requests_per_minute=rate, max_body=max_body)
    if json:
        _print.as_json({**made, "key": key})
    else:
        typer.echo(key)
        _print.notice("Keep it: it cannot be shown again.")


@app.command("list")
def list_keys(json: Json = False) -> None:
    """List the keys that open something, oldest first."""
    from hypotez.server import auth

    with open_store() as store:
        keys = auth.list_keys(store)
    if json:
        _print.as_json(keys)
        return
    rows = [(k["id"], k["name"], k["project"], k["redacted_value"], _print.moment(k["created_at"])) for k in keys]
    _print.table(["id", "name", "project", "key", "created"], rows, empty="No keys: on loopback none is asked.")


@app.command()
def revoke(key: Annotated[str, typer.Argument(help="The key's id, from `hypotez keys list`.")]) -> None:
    """Close a key for good.

    Example: hypotez keys revoke key_abc123
    """
    from hypotez.server.auth import revoke_key

    with open_store() as store:
        revoke_key(store, key)
    _print.notice(f"Revoked {key}.")
