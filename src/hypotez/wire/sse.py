"""Server-sent events as OpenAI writes them."""

import json
from typing import Any

DONE = b"data: [DONE]\n\n"
ASSISTANTS_DONE = b"event: done\ndata: [DONE]\n\n"

to_text = json.JSONEncoder(separators=(",", ":")).encode  # json.dumps would make this object anew for every token


def event(data: Any, name: str | None = None, id: int | None = None) -> bytes:
    """One event. ``id`` is what a client that lost the connection names to go on after this event."""
    return event_text(to_text(data), name, id)


def event_text(text: str, name: str | None = None, id: int | None = None) -> bytes:
    """The same of JSON text. It is ASCII on one line, so no line break inside the data can end the event early."""
    head = f"id: {id}\n" if id is not None else ""
    return f"{head}{f'event: {name}' + chr(10) if name else ''}data: {text}\n\n".encode("ascii")
