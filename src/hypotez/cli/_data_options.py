"""The options that say how to read a user's own files: which columns, which encoding, which grader."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from hypotez.errors import InvalidRequest

Columns = Annotated[
    str | None,
    typer.Option(metavar="QUESTION,ANSWER", help="Columns of question and answer, where their names do not say it."),
]
Encoding = Annotated[str | None, typer.Option(help="Encoding of the files, where it cannot be told.")]


def named_columns(given: str | None) -> dict[str, str] | None:
    """``train``'s ``columns`` from "Frage,Antwort"."""
    if given is None:
        return None
    names = [name.strip() for name in given.split(",")]
    if len(names) != 2 or not all(names):
        raise typer.BadParameter(f"{given!r} is not two names with a comma between", param_hint="--columns")
    return dict(zip(("prompt", "completion"), names, strict=True))


def read_grader(file: Path | None) -> Any:
    """What the file holds; whether it is a grader, the server says."""
    if file is None:
        return None
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError as exc:
        raise InvalidRequest(f"{file} is not valid JSON: line {exc.lineno}, column {exc.colno}: {exc.msg}.") from exc
    except UnicodeDecodeError as exc:
        raise InvalidRequest(f"{file} is not UTF-8.") from exc
