"""What the terminal shows: one red line for an error, tables, JSON for scripts.

The only place where an exception becomes text for the terminal. Results go to standard output, everything said about
them to standard error, so that a pipe carries results only.
"""

import errno
import io
import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import typer

from hypotez.errors import DataError, HypotezError, MissingExtra

if TYPE_CHECKING:
    from rich.console import Console

LOCAL = {"torch", "fastapi", "uvicorn", "sqlalchemy", "polars", "safetensors", "tokenizers", "jinja2", "psutil"}

NO_MODEL = ("model_not_available", "model_not_found")


def out() -> "Console":
    """The console for results. Made anew, because a test or a pipe may have replaced the stream."""
    from rich.console import Console

    wide = None if sys.stdout and sys.stdout.isatty() else 1000  # a pipe has no edge to wrap at
    return Console(file=sys.stdout or io.StringIO(), highlight=False, width=wide)


def err() -> "Console":
    """The console for what is said about the results."""
    from rich.console import Console

    return Console(file=sys.stderr, highlight=False)


def notice(text: str) -> None:
    """A line beside the result."""
    err().print(text, style="dim", markup=False, soft_wrap=True)


def error(exc: Exception) -> bool:
    """Say what happened and what to do. False when this is no known error, but a bug whose traceback is wanted."""
    said = explain(exc)
    if said is None:
        return False
    message, cure = said
    console = err()
    console.print(f"Error: {message}", style="bold red", markup=False, soft_wrap=True)
    for fault in faults(exc):
        console.print(f"  {fault}", markup=False, soft_wrap=True)
    if cure:
        console.print(f"  {cure}", markup=False, soft_wrap=True)
    return True


def faults(exc: Exception) -> list[str]:
    """The faults of a data error, one line each, unless its message lists them already."""
    listed = [str(fault) for fault in exc.faults] if isinstance(exc, DataError) else []
    return [] if not listed or listed[0] in str(exc) else listed


def explain(exc: Exception) -> tuple[str, str | None] | None:
    """Message and cure of an error a user can do something about, else ``None``."""
    if isinstance(exc, HypotezError):
        return exc.message, exc.hint
    if isinstance(exc, BrokenPipeError):
        return None  # `hypotez ... | head`: nobody is left to tell, and typer ends quietly
    if isinstance(exc, OSError):
        return _explain_os(exc)
    if isinstance(exc, ModuleNotFoundError) and exc.name in LOCAL:
        return MissingExtra("local", f"This command ({exc.name})").message, None
    if "openai" in sys.modules:  # nothing raised its errors unless it was imported
        return _explain_sdk(exc)
    return None


def _explain_os(exc: OSError) -> tuple[str, str | None]:
    reason = exc.strerror or str(exc)
    message = f"{exc.filename}: {reason}" if exc.filename else reason
    cures = {
        errno.ENOSPC: "Free some space, or set HYPOTEZ_HOME to a folder on another disk.",
        errno.EADDRINUSE: "Choose another port: hypotez serve --port 0 takes a free one.",
        errno.EDQUOT: "Free some space, or set HYPOTEZ_HOME to a folder on another disk.",
        errno.EROFS: "Set HYPOTEZ_HOME to a folder you may write to.",
        errno.EACCES: "Check the permissions, or set HYPOTEZ_HOME to a folder you may write to.",
    }
    return message, cures.get(exc.errno or 0)


def _explain_sdk(exc: Exception) -> tuple[str, str | None] | None:
    import openai

    if isinstance(exc, openai.APITimeoutError):
        return f"No answer in time from {exc.request.url}.", "Try again, or ask a smaller model."
    if isinstance(exc, openai.APIConnectionError):
        return f"No server answers at {exc.request.url}.", "Start one with `hypotez serve`, or leave out --base-url."
    if isinstance(exc, openai.APIStatusError):
        told = _body_message(exc.body)
        if told is None:
            what = f"{exc.request.url} answers {exc.status_code}, and not as OpenAI's API does."
            return what, "Is this the right server? Its address ends in /v1."
        cures = {
            401: "Give the right key: --api-key, HYPOTEZ_API_KEY, or OPENAI_API_KEY for OpenAI itself.",
            404: "See what there is: hypotez models, hypotez jobs list, hypotez assistants list.",
            507: "Free some space, or set HYPOTEZ_HOME to a folder on another disk.",
        }
        known = "See which there are: hypotez models." if exc.code in NO_MODEL else None
        return told, cures.get(exc.status_code, known)
    return (str(exc), None) if isinstance(exc, openai.OpenAIError) else None


def _body_message(body: object) -> str | None:
    return str(body["message"]) if isinstance(body, dict) and body.get("message") else None


def as_json(value: Any) -> None:
    """Print ``value`` as JSON for a script: pydantic objects as the wire wrote them."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2, default=_plain))


def _plain(value: Any) -> Any:
    return value.to_dict(mode="json") if hasattr(value, "to_dict") else vars(value)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """Print rows under their column names, or ``empty`` when there are none."""
    from rich.table import Table

    console, cells = out(), [["" if cell is None else str(cell) for cell in row] for row in rows]
    fits = max((len(row[0]) for row in cells), default=0) < console.width / 2
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for place, column in enumerate(columns):
        drawn.add_column(column, overflow="fold", no_wrap=place == 0 and fits)  # the first is what gets copied
    for row in cells:
        drawn.add_row(*row)
    if cells:
        console.print(drawn)
    else:
        notice(empty)


def moment(seconds: float | None) -> str:
    """Unix seconds as local date and time."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S") if seconds else ""
