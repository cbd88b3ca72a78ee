"""A client's connection: uvicorn's, but with an end to what a client may leave unfinished. Knows no routes.

What is not HTTP is refused in OpenAI's envelope, as everything else is. The head of a request has a largest size, and
a client that falls silent in the middle of a request is let go: each would otherwise hold memory and a socket for ever.
"""

import asyncio
import json
from enum import Enum
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from hypotez.errors import InvalidRequest

MAX_HEAD = 256 * 1024  # bytes of request line and headers
SILENCE_SECONDS = 60.0


class Stage(Enum):
    """What of a request is awaited."""

    NOTHING = "nothing"
    HEAD = "head"
    BODY = "body"


class Connection(HttpToolsProtocol):
    """uvicorn makes one for every client."""

    silence = SILENCE_SECONDS

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self._stage, self._head = Stage.NOTHING, 0
        self._timer: asyncio.TimerHandle | None = self.loop.call_later(self.silence, self._let_go)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._stage is Stage.HEAD:
            self._head += len(data)
            if self._head > MAX_HEAD:
                self._refuse(431, f"The head of this request is too large: at most {MAX_HEAD} bytes are read.")
                return
        super().data_received(data)
        self._stop_timer()
        if self._stage is not Stage.NOTHING and not self.transport.is_closing():
            self._timer = self.loop.call_later(self.silence, self._let_go)

    def on_message_begin(self) -> None:
        self._stage, self._head = Stage.HEAD, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._stage = Stage.BODY
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._stage = Stage.NOTHING
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, "We could not read your request: it is not valid HTTP/1.1.")

    def _let_go(self) -> None:
        self._timer = None
        if self.flow.read_paused:  # we do not listen just now: it may well be speaking
            self._timer = self.loop.call_later(self.silence, self._let_go)
        elif self._stage is Stage.NOTHING:
            self.transport.close()
        else:
            self._refuse(408, f"This request was not finished: nothing came for {self.silence:g} seconds.")

    def _refuse(self, status: int, message: str) -> None:
        """Answer, where no other answer has begun, and close."""
        self._stop_timer()
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            body = json.dumps(InvalidRequest(message).envelope()).encode()
            head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
            self.transport.write(f"{head}content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body)
        self.transport.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


# how uvicorn is to speak with clients, for every server of ours: there are no web sockets here
PROTOCOLS: dict[str, Any] = {"http": Connection, "ws": "none"}
