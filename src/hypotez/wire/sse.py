"""Server-sent events as OpenAI writes them."""

import json
from typing import Any

DONE = b"data: [DONE]\n\n"
ASSISTANTS_DONE = b"event: done\ndata: [DONE]\n\n"


def event(data: Any, name: str | None = None) -> bytes:
    """One event. JSON text is ASCII on one line, so no line break inside the data can end it early."""
    text = json.dumps(data, separators=(",", ":"))
    return (f"event: {name}\ndata: {text}\n\n" if name else f"data: {text}\n\n").encode("ascii")
