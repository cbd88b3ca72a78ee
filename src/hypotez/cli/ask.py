"""``hypotez ask``: one question, the answer as it comes."""

from typing import Annotated

import typer

from hypotez.cli import _input, _print
from hypotez.cli._connect import Json, Model, connect


def ask(
    ctx: typer.Context,
    message: Annotated[list[str], typer.Argument(help="The question; - reads it from standard input.")],
    model: Model = None,
    system: Annotated[str | None, typer.Option("--system", "-s", help="How the model should behave.")] = None,
    json: Json = False,
) -> None:
    """Ask one question; the answer streams to the terminal and both are kept in the dialogue log.

    Example: hypotez ask "What is the capital of France?"
    """
    text = _input.text() if message == ["-"] else " ".join(message)  # nobody likes to quote
    with connect(ctx, model, system_instruction=system) as asking:
        if json:
            reply = asking.ask(text)
            said = asking.dialogue[-1]
            _print.as_json({"model": asking.model, "reply": reply, "sentiment": said.get("sentiment")})
            return
        for piece in asking.ask(text, stream=True):
            typer.echo(piece, nl=False)
        typer.echo()
