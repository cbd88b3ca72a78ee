"""``hypotez top``: what a running server is doing, again every second. Looks; changes nothing."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from hypotez.cli import _print
from hypotez.cli._connect import Connection, connect

if TYPE_CHECKING:
    from openai import OpenAI
    from rich.console import RenderableType

    from hypotez.cli._frame import Sample
    from hypotez.model.jobs import Job
    from hypotez.settings import Settings

GOING = ("validating_files", "queued", "running", "pausing")


def top(
    ctx: typer.Context,
    seconds: Annotated[float, typer.Option("--seconds", "-n", min=0.1, help="Between two looks.")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Print one frame and exit.")] = False,
) -> None:
    """Watch a running server: queue, batch, KV cache, speed, time to first token, adapters, jobs. Ctrl-C leaves.

    Without --base-url it looks where `hypotez serve` listens by the settings.

    Example: hypotez --base-url http://localhost:9000/v1 top
    """
    from hypotez.settings import Settings

    given: Connection = ctx.obj
    url = given.base_url or _address(Settings.load())
    ctx.obj = Connection(base_url=url, api_key=given.api_key)
    with connect(ctx) as asking:
        client = asking.client.with_options(max_retries=0, timeout=10)
        if once:
            _print.out().print(_look(url, client, None)[0])
        else:
            _watch(url, client, seconds)


def _address(settings: "Settings") -> str:
    host, port = settings.server.host, settings.server.port
    return f"http://{'localhost' if host in ('0.0.0.0', '::') else host}:{port}/v1"


def _watch(url: str, client: "OpenAI", seconds: float) -> None:
    from rich.live import Live

    frame, before = _look(url, client, None)
    with Live(frame, console=_print.out(), auto_refresh=False, screen=_print.out().is_terminal) as live:
        while True:
            time.sleep(seconds)
            frame, before = _look(url, client, before)
            live.update(frame, refresh=True)


def _look(url: str, client: "OpenAI", before: "Sample | None") -> "tuple[RenderableType, Sample]":
    """The frame to show, and what it was made from. Raises ``ServerError`` where no server answers."""
    import openai

    from hypotez.cli._frame import Sample, draw
    from hypotez.errors import ServerError

    try:
        text = client.get(url.rstrip("/").removesuffix("/v1") + "/metrics", cast_to=str)
        now = Sample.of(text, time.monotonic())
        return draw(url, now, before, _jobs(client)), now
    except openai.APIConnectionError as exc:
        cure = "Start one with `hypotez serve`, or say where it is: hypotez --base-url URL top."
        raise ServerError(f"No server answers at {url}.", hint=cure) from exc


def _jobs(client: "OpenAI") -> "list[Job]":
    """Those that wait or train, the newest first."""
    from hypotez.model.jobs import job

    found = [one for one in client.fine_tuning.jobs.list(limit=20).data if one.status in GOING]
    return [job(one, client.fine_tuning.jobs.list_events(one.id, limit=20).data) for one in found]
