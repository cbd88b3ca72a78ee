"""The options of the whole command line, ``--base-url`` and ``--api-key``: found wherever they were written.

They belong before the command word; nearly everybody writes them after it. A command that works elsewhere than on that
server refuses them, for a key that does nothing looks like a locked door; where no server could matter (``data``,
``sentiment``) they are as good as absent. Knows no command but by its word.
"""

from collections.abc import Sequence
from typing import Any

import typer

GLOBAL = ("--base-url", "--api-key")
_STORE = "works on the data folder (HYPOTEZ_HOME), not through a server"
OFFLINE = {
    "serve": "is a server itself, at --host and --port; its key is HYPOTEZ_API_KEY, or `hypotez keys create NAME`",
    "demo": "brings its own server",
    "keys": _STORE,
    "import": _STORE,
    "export": _STORE,
}


def in_front(arguments: Sequence[str]) -> list[str]:
    """The arguments with the options of the whole command line first. What follows ``--`` is text."""
    front: list[str] = []
    rest: list[str] = []
    given = iter(arguments)
    for argument in given:
        if argument == "--":
            rest += [argument, *given]
        elif argument in GLOBAL:
            value = next(given, None)
            if value is None:
                raise typer.BadParameter("a value is missing.", param_hint=argument)
            front += [argument, value]
        elif argument.startswith(tuple(f"{option}=" for option in GLOBAL)):
            front.append(argument)
        else:
            rest.append(argument)
    return [*front, *rest]


def refuse_idle(ctx: Any) -> None:
    """Refuse them on the command line of a command that asks no server; in the environment they are for the others."""
    command = ctx.invoked_subcommand
    for option in GLOBAL if command in OFFLINE else ():
        source = ctx.get_parameter_source(option.removeprefix("--").replace("-", "_"))
        if source is not None and source.name == "COMMANDLINE":
            raise typer.BadParameter(f"`hypotez {command}` {OFFLINE[command]}; leave out {option}.", param_hint=option)
