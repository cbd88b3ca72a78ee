"""``hypotez chat``: a conversation that remembers, with a model or with an assistant."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from hypotez.cli import _input, _print
from hypotez.cli._connect import Model, connect

if TYPE_CHECKING:
    from hypotez.model import OpenAIModel

HELP = """\
/good            mark the last answer as one to learn from
/bad [better]    mark it as one not to give again; the rest of the line is what it should have been
/model [name]    show or change the model
/exit            leave (so does Ctrl-D); Ctrl-C stops an answer"""


def chat(
    ctx: typer.Context,
    model: Model = None,
    assistant: Annotated[str | None, typer.Option("--assistant", "-a", help="Id or name of an assistant.")] = None,
    system: Annotated[str | None, typer.Option("--system", "-s", help="How the model should behave.")] = None,
) -> None:
    """Talk. Every answer can be marked; `hypotez train --from-dialogues` learns from the marks.

    Example: hypotez chat --assistant "Shop helper"
    """
    with connect(ctx, model, system_instruction=system) as talking:
        if assistant:
            talking.set_assistant(assistant_id(talking, assistant))
        if sys.stdin.isatty():
            _print.notice(f"{assistant or talking.model}. /help lists the commands, Ctrl-D leaves.")
        for line in lines():
            if line.startswith("/"):
                if line.split()[0] == "/exit":
                    break
                command(talking, line)
            else:
                answered(talking, line, assistant is not None)


def assistant_id(talking: "OpenAIModel", wanted: str) -> str:
    """The id of the assistant called ``wanted``; an id, or a name nobody has, stays as it is."""
    for each in talking.client.beta.assistants.list(limit=100):
        if wanted in (each.id, each.name):
            return each.id
    return wanted


def lines() -> Iterator[str]:
    """What the user types, until the end of input."""
    for line in _typed() if sys.stdin.isatty() else _input.lines():
        if line.strip():
            yield line.strip()


def _typed() -> Iterator[str]:
    import readline  # noqa: F401  arrow keys and history in input()

    while True:
        try:
            yield input("> ")
        except EOFError:
            return


def answered(talking: "OpenAIModel", line: str, through_assistant: bool) -> None:
    """As ``answer``; at a terminal an error that is known is told and the conversation goes on."""
    try:
        answer(talking, line, through_assistant)
    except Exception as exc:
        if not sys.stdin.isatty() or not _print.error(exc):
            raise


def answer(talking: "OpenAIModel", line: str, through_assistant: bool) -> None:
    """Print the answer as it comes; Ctrl-C ends the answer, not the conversation."""
    try:
        if through_assistant:
            typer.echo(talking.run(line))
            return
        for piece in talking.ask(line, history=True, stream=True):
            typer.echo(piece, nl=False)
        typer.echo()
    except KeyboardInterrupt:
        if not sys.stdin.isatty():
            raise
        _print.notice("\nStopped.")


def command(talking: "OpenAIModel", line: str) -> None:
    """One of the lines that begin with a slash."""
    word, _, rest = line.partition(" ")
    answered = [i for i, entry in enumerate(talking.dialogue) if entry["role"] == "assistant"]
    if word in ("/good", "/bad") and not answered:
        _print.notice("There is no answer to mark yet.")
    elif word == "/good":
        talking.mark(answered[-1], "positive")
        _print.notice("Marked as good.")
    elif word == "/bad":
        talking.mark(answered[-1], "negative", better=rest.strip() or None)
        _print.notice("Marked as bad.")
    elif word == "/model":
        talking.model = rest.strip() or talking.model
        _print.notice(f"Model: {talking.model}")
    else:
        _print.notice(HELP)
