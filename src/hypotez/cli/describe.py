"""``hypotez describe``: what is on an image."""

from typing import Annotated

import typer

from hypotez.cli import _print
from hypotez.cli._connect import Json, Model, connect


def describe(
    ctx: typer.Context,
    images: Annotated[list[str], typer.Argument(help="Paths or URLs of images.")],
    prompt: Annotated[str | None, typer.Option("--prompt", "-p", help="What to look for.")] = None,
    model: Model = None,
    json: Json = False,
) -> None:
    """Describe one image or many, with a model that can see.

    Example: hypotez describe photo.jpg --prompt "What brand is the bag?"
    """
    with connect(ctx, model) as seeing:
        said = seeing.describe_images(images, prompt, progress=len(images) > 1 and not json)
    if json:
        _print.as_json([{"image": image, "description": text} for image, text in zip(images, said, strict=True)])
        return
    for image, text in zip(images, said, strict=True):
        typer.echo(f"{image}: {text}" if len(images) > 1 else str(text))
