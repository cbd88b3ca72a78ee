"""A client that costs next to nothing, so that the server is what is measured: keep-alive HTTP/1.1 on raw sockets."""

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]


class Stream(asyncio.Protocol):
    """A connection for one streamed answer, kept as it comes and read when it has ended: what a client does with a
    token would be taken from the server's processor time.
    """

    def __init__(self) -> None:
        self.ended = asyncio.get_running_loop().create_future()
        self.first = 0.0  # when the first event came
        self._parts: list[bytes] = []
        self._tail = b""

    @classmethod
    async def open(cls, port: int) -> "Stream":
        _, stream = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return stream

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if not self.first and b"data: {" in data:
            self.first = time.perf_counter()
        self._parts.append(data)
        self._tail = (self._tail + data)[-6:]
        if self._tail == b"\n0\r\n\r\n":
            self.ended.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_exception(exc or ConnectionResetError("the server hung up"))

    async def post(self, path: str, body: object) -> None:
        """Ask, and wait for the end."""
        self.transport.write(request("POST", path, body))
        await self.ended
        self.transport.close()

    def lines(self) -> list[bytes]:
        """The lines of the answer, without the sizes of its chunks."""
        head, _, rest = b"".join(self._parts).partition(b"\r\n\r\n")
        assert head.split()[1] == b"200", head + rest
        body = b""
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
        return body.split(b"\n")


def request(method: str, path: str, body: object = None) -> bytes:
    raw = b"" if body is None else json.dumps(body).encode()
    fields = {"host": "127.0.0.1", "content-type": "application/json", "content-length": len(raw)}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + raw


class Connection:
    def __init__(self, port: int) -> None:
        self.port = port

    async def open(self) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)

    async def send(self, method: str, path: str, body: object = None) -> None:
        self.writer.write(request(method, path, body))
        await self.writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        pairs = (line.split(": ", 1) for line in lines[1:] if line)
        return int(lines[0].split()[1]), {name.lower(): value for name, value in pairs}

    async def ask(self, method: str, path: str, body: object = None) -> bytes:
        """The body of a plain answer; anything but a 200 is an error of the benchmark."""
        await self.send(method, path, body)
        status, headers = await self.head()
        raw = await self.reader.readexactly(int(headers["content-length"]))
        assert status == 200, raw
        return raw

    async def lines(self, path: str, body: object):
        """The lines of a server-sent stream (chunked; the sizes are dropped)."""
        await self.send("POST", path, body)
        status, _ = await self.head()
        assert status == 200, status
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            for line in (await self.reader.readexactly(size)).split(b"\n"):
                if line:
                    yield line
            await self.reader.readexactly(2)
        await self.reader.readexactly(2)

    def close(self) -> None:
        self.writer.close()


def start(*command: str) -> tuple[subprocess.Popen[bytes], int]:
    """A server process that prints "ready"; its port stands for PORT in the command."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    filled = [sys.executable, *(str(port) if word == "PORT" else word for word in command)]
    process = subprocess.Popen(filled, stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == b"ready"
    return process, port


async def rate(port: int, request: Callable[[], tuple[str, str, object]], seconds: float, connections: int) -> float:
    """Answers per second of ``connections`` clients that ask one after another."""
    done, until = 0, time.perf_counter() + seconds

    async def client() -> None:
        nonlocal done
        connection = Connection(port)
        await connection.open()
        while time.perf_counter() < until:
            await connection.ask(*request())
            done += 1
        connection.close()

    begun = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(connections)))
    return done / (time.perf_counter() - begun)
