"""``hypotez serve``: the server on its own."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from hypotez.settings import Settings


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; off loopback an API key is required.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Default local model: a name, a folder or a repository.")
    ] = None,
    upstream: Annotated[
        list[str] | None, typer.Option(help="URL of a server that chats for us, with its /v1; may be given again.")
    ] = None,
    backend: Annotated[
        str | None, typer.Option(help="Who computes the default model: embedded, or vllm with our adapters loaded.")
    ] = None,
    vllm_url: Annotated[str | None, typer.Option(help="With vllm: one that runs already, with its /v1.")] = None,
) -> None:
    """Serve OpenAI's API until Ctrl-C. Prints its address when it is ready.

    Example: hypotez serve --port 9000 --upstream http://localhost:11434/v1
    """
    from hypotez import embedded
    from hypotez.settings import Settings

    engine = {"model": model or None, "backend": backend or (vllm_url and "vllm"), "vllm_url": vllm_url}
    embedded.serve(_settings(Settings.load(), host, port, engine, upstream or []), ready=_say)


def _settings(
    settings: "Settings", host: str | None, port: int | None, engine: dict[str, str | None], urls: list[str]
) -> "Settings":
    """The settings with what the command line says instead."""
    from hypotez.settings import EngineSettings, Upstream, is_address

    for option, url in [*(("--upstream", url) for url in urls), ("--vllm-url", engine["vllm_url"])]:
        if url is not None and not is_address(url):
            what = f"{url!r} is no address of a server; one looks like http://localhost:11434/v1"
            raise typer.BadParameter(what, param_hint=option)
    if engine["backend"] not in (None, "embedded", "vllm"):
        raise typer.BadParameter(f"{engine['backend']!r} is neither embedded nor vllm.", param_hint="--backend")

    listen: dict[str, Any] = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    return settings.model_copy(
        update={
            "server": settings.server.model_copy(update=listen),
            "engine": EngineSettings(**{**settings.engine.model_dump(), **{k: v for k, v in engine.items() if v}}),
            "upstream": [*(Upstream(base_url=url) for url in urls), *settings.upstream],
        }
    )


def _say(url: str) -> None:
    typer.echo(f"hypotez is ready at {url} (Ctrl-C stops it)")
