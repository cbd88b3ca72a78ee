"""JSON responses. One way to write them, so that what the store accepted can always be sent."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from starlette.responses import Response


def answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Compact ASCII JSON: lone surrogates, which clients do send, have no UTF-8 form."""
    text = json.dumps(body, separators=(",", ":"), allow_nan=False)
    return Response(text.encode("ascii"), status, headers, media_type="application/json")


def answer_text(text: str) -> Response:
    """JSON text that is written already, in ASCII."""
    return Response(text.encode("ascii"), media_type="application/json")


def served_by(model: str) -> dict[str, str]:
    """The header that names the model. A name outside of ASCII is percent-encoded, for headers are ASCII."""
    return {"x-hypotez-model": quote(model, safe="/:@ !$&'()*+,;=~", errors="replace")}
