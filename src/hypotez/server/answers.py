"""JSON responses. One way to write them, so that what the store accepted can always be sent."""

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response


def answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Compact ASCII JSON: lone surrogates, which clients do send, have no UTF-8 form."""
    text = json.dumps(body, separators=(",", ":"), allow_nan=False)
    return Response(text.encode("ascii"), status, headers, media_type="application/json")


def answer_text(text: str) -> Response:
    """JSON text that is written already, in ASCII."""
    return Response(text.encode("ascii"), media_type="application/json")
