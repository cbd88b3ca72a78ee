"""Below the routes: bytes that are not HTTP, heads without end, clients that never finish, requests in a row."""

import json
import re
import socket
import time
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from tests.serving import serve_for_test

from hypotez.server import assistants
from hypotez.server.connection import Connection

HOST = b"Host: localhost\r\n"
JSON = b"Content-Type: application/json\r\n"
BODY = b'{"model": "scripted"}'
POST = b"POST /v1/assistants HTTP/1.1\r\n" + HOST + JSON


class Impatient(Connection):
    silence = 0.4


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serve_for_test(tmp_path_factory.mktemp("home"), routers=[assistants.router]) as server:
        yield server


@contextmanager
def connected(server):
    address = urlsplit(server.base_url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        yield connection


def answers(connection, count=1):
    """So many responses as (status, body), by their content-length."""
    got, found = b"", []
    while len(found) < count:
        head, mark, rest = got.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head.lower())
        if mark and length and len(rest) >= int(length[1]):
            status = int(head.split()[1])
            found.append((status, json.loads(rest[: int(length[1])])))
            got = rest[int(length[1]) :]
            continue
        more = connection.recv(65536)
        assert more, f"closed after {got[:200]!r}"
        got += more
    return found


def ask(server, raw):
    with connected(server) as connection:
        connection.sendall(raw)
        return answers(connection)[0]


@pytest.mark.parametrize(
    "raw",
    [
        b"GARBAGE\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"BREW /v1/assistants HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /v1/\xff HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /v1/assistants HTTP/1.1\r\nX: a\x01b\r\n\r\n",
        b"CONNECT localhost:80 HTTP/1.1\r\n" + HOST + b"\r\n",
        POST + b"Content-Length: -5\r\n\r\n",
        POST + b"Content-Length: 99999999999999999999999\r\n\r\n",
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{",
    ],
    ids=lambda raw: repr(raw[:40]),
)
def test_what_is_not_http_is_refused_in_the_envelope(server, raw):
    status, answer = ask(server, raw)

    assert status == 400
    assert answer["error"]["type"] == "invalid_request_error"
    assert set(answer["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    "header",
    [b"Authorization: Bearer \xff\xb2", b"Idempotency-Key: \xff\x80", b"x-stainless-retry-count: \xb2", b"Accept: \xff",
     b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==",
     b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk", b"Expect: 100-continue",
     b"X-Forwarded-For: \xff", b"Content-Type: \xff", b"Content-Length: 0"],
    ids=lambda header: repr(header[:30]),
)  # fmt: skip
def test_odd_headers_are_only_headers(server, header):
    status, answer = ask(server, b"GET /v1/assistants HTTP/1.1\r\n" + HOST + header + b"\r\n\r\n")

    assert (status, answer["object"]) == (200, "list")


@pytest.mark.parametrize("body", [b"", BODY], ids=["", "body"])
def test_odd_content_types_are_refused(server, body):
    raw = b"POST /v1/assistants HTTP/1.1\r\n" + HOST + b'Content-Type: \xff/json; charset="\r\n'

    status, _ = ask(server, raw + b"Content-Length: %d\r\n\r\n" % len(body) + body)

    assert status == 400


def test_many_headers_are_read_and_too_many_are_not(server):
    def with_headers(count):
        return ask(server, b"GET /v1/assistants HTTP/1.1\r\n" + HOST + b"x: y\r\n" * count + b"\r\n")[0]

    assert with_headers(2_000) == 200
    assert with_headers(200_000) == 431


@pytest.mark.parametrize("start", [b"GET /v1/assistants HTTP/1.1\r\n" + HOST + b"X: ", b"GET /v1/assistants?after="])
def test_a_head_without_end_is_not_kept(server, start):
    with connected(server) as connection:
        connection.sendall(start + b"a" * 200_000)
        with pytest.raises(
            (ConnectionResetError, BrokenPipeError)
        ):  # the server has closed: it will not read 100 MB of it
            for _ in range(1000):
                connection.sendall(b"a" * 100_000)


def test_a_body_beyond_the_limit_is_refused_before_it_comes(server):
    status, answer = ask(server, POST + b"Content-Length: 999999999999\r\n\r\n")

    assert (status, answer["error"]["type"]) == (413, "invalid_request_error")


def test_chunked_bodies_are_bodies(server):
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in BODY)

    status, answer = ask(server, POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")

    assert (status, answer["model"]) == (200, "scripted")


def test_requests_in_a_row_are_answered_in_their_order(server):
    with connected(server) as connection:
        for limit in (1, 0, 2, 101):
            connection.sendall(b"GET /v1/assistants?limit=%d HTTP/1.1\r\n" % limit + HOST + b"\r\n")
        connection.sendall(POST + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY)

        assert [status for status, _ in answers(connection, 5)] == [200, 400, 200, 400, 200]


def test_clients_that_never_finish_stop_nobody(server):
    waiting = [socket.create_connection(urlsplit(server.base_url).netloc.split(":")) for _ in range(200)]
    for n, connection in enumerate(waiting):
        connection.sendall([POST, POST + b"Content-Length: 1000\r\n\r\n{", b"G", b""][n % 4])

    begun = time.monotonic()
    status, _ = ask(server, b"GET /v1/assistants HTTP/1.1\r\n" + HOST + b"\r\n")

    assert (status, time.monotonic() - begun < 5) == (200, True)
    [connection.close() for connection in waiting]


@pytest.mark.parametrize(
    ("sent", "status"),
    [(POST, 408), (POST + b"Content-Length: 1000\r\n\r\n{", 408), (b"G", 408), (b"", None)],
    ids=["head", "body", "a letter", "nothing"],
)
def test_who_falls_silent_in_a_request_is_let_go(tmp_path, sent, status):
    with (
        serve_for_test(tmp_path, routers=[assistants.router], protocol=Impatient) as server,
        connected(server) as connection,
    ):
        connection.sendall(sent)

        assert status is None or answers(connection)[0][0] == status
        assert connection.recv(1) == b""


def test_a_slow_but_steady_client_is_waited_for(tmp_path):
    with (
        serve_for_test(tmp_path, routers=[assistants.router], protocol=Impatient) as server,
        connected(server) as connection,
    ):
        connection.sendall(POST + b"Content-Length: %d\r\n\r\n" % len(BODY))
        for byte in BODY:
            time.sleep(0.05)
            connection.sendall(bytes([byte]))

        assert answers(connection)[0][0] == 200
