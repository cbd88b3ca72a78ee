"""From the command line's options to an ``OpenAIModel``, or to the store itself. The environment is read here, once."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from hypotez.model import OpenAIModel
    from hypotez.store import Store

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Model = Annotated[str | None, typer.Option("--model", "-m", help="Model to use; see `hypotez models`.")]


@dataclass(frozen=True, slots=True)
class Connection:
    """What was given before the command word; ``None`` leaves the choice to the settings."""

    base_url: str | None = None
    api_key: str | None = None


def connect(ctx: typer.Context, model: str | None = None, **options: Any) -> "OpenAIModel":
    """The class on the server that was named, or on the one it starts itself. Close it (``with connect(...)``)."""
    from hypotez.model import OpenAIModel
    from hypotez.settings import Settings

    # what the server inside says is told as the command's own error; its unexpected ones have their traceback there
    logging.getLogger("hypotez.server.problems").setLevel(logging.ERROR)
    settings = Settings.load()
    given: Connection = ctx.obj
    return OpenAIModel(
        model_name=model or settings.default_model,
        base_url=given.base_url,
        api_key=given.api_key,
        settings=settings,
        **options,
    )


@contextmanager
def open_store() -> Iterator["Store"]:
    """The store that the settings name, for the commands that need no server."""
    from hypotez.settings import Settings
    from hypotez.store import Store

    settings = Settings.load()
    store = Store.open(settings.database_url, settings.home)
    try:
        yield store
    finally:
        store.close()
