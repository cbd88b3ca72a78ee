"""JSON responses. One way to write them, so that what the store accepted can always be sent."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from starlette.responses import Response

CONTENT_TYPE = (b"content-type", b"application/json")
ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)  # made once: that takes as long as a small body


class JsonResponse(Response):
    """JSON that is bytes already. Its header is put together here: Starlette's way of doing it costs twice as much."""

    def __init__(self, body: bytes, status: int, headers: Mapping[str, str]) -> None:
        self.body, self.status_code, self.background = body, status, None
        self.raw_headers = [(b"content-length", b"%d" % len(body)), CONTENT_TYPE]
        self.raw_headers += [
            (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()
        ]


def answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Compact ASCII JSON: lone surrogates, which clients do send, have no UTF-8 form."""
    return answer_text(ENCODER.encode(body), status, headers)


def answer_text(text: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON text that is written already, in ASCII."""
    return JsonResponse(text.encode("ascii"), status, headers or {})


def served_by(model: str) -> dict[str, str]:
    """The header that names the model. A name outside of ASCII is percent-encoded, for headers are ASCII."""
    return {"x-hypotez-model": quote(model, safe="/:@ !$&'()*+,;=~", errors="replace")}
