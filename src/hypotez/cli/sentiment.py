"""``hypotez sentiment``: how a message, or every message of a dialogue, feels. Needs no server and no model."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hypotez.cli import _input, _print
from hypotez.cli._connect import Json

SHOWN = 80  # characters of a message in the table


def sentiment(
    message: Annotated[str | None, typer.Argument(help="The message; - reads it from standard input.")] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", exists=True, dir_okay=False, help="A saved dialogue (JSON).")
    ] = None,
    json: Json = False,
) -> None:
    """Say whether a message is positive, negative or neutral, and how sure that is.

    Example: hypotez sentiment "not bad at all"
    """
    if (message is None) == (file is None):
        raise typer.BadParameter("Give a message or --file DIALOGUE, one of them.")
    if message is not None:
        found = _judged([_input.text() if message == "-" else message])[0]
        if json:
            _print.as_json(found)
        else:
            typer.echo(f"{found['sentiment']} {max(found['score'].values()):.2f}")
        return
    assert file is not None
    entries = _entries(file)
    judged = [
        {"role": role, "content": text, **found}
        for (role, text), found in zip(entries, _judged([t for _, t in entries]), strict=True)
    ]
    if json:
        _print.as_json(judged)
    else:
        _print.table(
            ["sentiment", "score", "role", "message"],
            [
                (row["sentiment"], f"{max(row['score'].values()):.2f}", row["role"], _short(row["content"]))
                for row in judged
            ],
            empty=f"{file} holds no messages with text.",
        )


def _entries(file: Path) -> list[tuple[str, str]]:
    """Role and text of every message of the dialogues in ``file``; pictures and tool calls have no text."""
    from hypotez.dialogue.saved import read
    from hypotez.errors import DataError

    dialogues = read([file])
    if not dialogues:
        raise DataError(f"{file} holds no dialogue: a JSON list of messages with role and content is expected.")
    found = [(str(entry["role"]), _text(entry.get("content"))) for dialogue in dialogues for entry in dialogue.entries]
    return [(role, text) for role, text in found if text]


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(part["text"] for part in content if isinstance(part, dict) and part.get("text"))
    return content if isinstance(content, str) else ""


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN else line[: SHOWN - 1] + "…"


def _judged(messages: list[str]) -> list[dict[str, Any]]:
    from hypotez.sentiment import scores

    rounded = [{name: round(share, 4) for name, share in found._asdict().items()} for found in scores(messages)]
    return [{"sentiment": max(found, key=found.__getitem__), "score": found} for found in rounded]
