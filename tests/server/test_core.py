"""The application without a resource: unknown paths, keys, broken bodies, creation that happens once."""

import http.client
import json
import threading
import time
from typing import Annotated
from urllib.parse import urlsplit

import openai
import pytest
from fastapi import APIRouter
from pydantic import Field
from tests.serving import serve_for_test

from hypotez.server.auth import create_key, revoke_key
from hypotez.server.context import Ctx
from hypotez.server.reading import json_router
from hypotez.store import Document
from hypotez.wire.bodies import Body, Metadata
from hypotez.wire.ids import new_id

router = json_router()
plain = APIRouter()  # as for forms and for paths with slashes: FastAPI's own way


class CreateThing(Body):
    name: Annotated[str, Field(min_length=1, max_length=8)]
    size: Annotated[int, Field(ge=0, le=5)] = 0
    metadata: Metadata | None = None


@router.post("/things")
def create(body: CreateThing, ctx: Ctx):
    with ctx.store.write() as tx:
        made = ctx.once.find(tx, "thing") or tx.documents.create(
            "thing", {"id": new_id("thing"), **body.sent()}, project=ctx.project, request=ctx.once.fingerprint
        )
    return ctx.created(made)


@router.get("/broken")
def broken() -> None:
    raise ZeroDivisionError


@plain.get("/broken/form")
def broken_form() -> None:
    raise ZeroDivisionError


@pytest.fixture
def server(tmp_path):
    with serve_for_test(tmp_path, routers=[router, plain]) as running:
        yield running


def post(server, body: bytes, **headers: str) -> tuple[int, dict]:
    headers = {"content-type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
    return request(server, "POST", "/v1/things", body, headers)


def request(server, method, path, body=None, headers=None) -> tuple[int, dict]:
    connection = http.client.HTTPConnection(urlsplit(server.base_url).netloc, timeout=30)
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def things(server) -> list[Document]:
    with server.store.read() as tx:
        return tx.documents.page("thing", limit=100).items


def forget_delivery(server, id):
    """As if the response had never reached its client."""
    while id not in server.services.delivered:
        time.sleep(0.01)
    server.services.delivered.clear()


def test_an_unknown_path_gets_openais_404(server):
    with pytest.raises(openai.NotFoundError) as caught:
        server.client.vector_stores.create(name="x")

    assert caught.value.body["message"] == "Invalid URL (POST /v1/vector_stores)"
    assert caught.value.request_id.startswith("req_")


def test_a_wrong_method_says_so(server):
    status, body = request(server, "GET", "/v1/things")

    assert (status, body["error"]["code"]) == (405, "method_not_supported")


@pytest.mark.parametrize(
    ("body", "message", "param", "code"),
    [
        (b"{}", "Missing required parameter: 'name'.", "name", "missing_required_parameter"),
        (
            b'{"name": 3}',
            "Invalid type for 'name': expected a string, but got an integer instead.",
            "name",
            "invalid_type",
        ),
        (b'{"name": "x", "colour": 1}', "Unknown parameter: 'colour'.", "colour", "unknown_parameter"),
        (
            b'{"name": "x", "size": 7}',
            "Invalid 'size': integer above maximum value. Expected a value <= 5, but got 7 instead.",
            "size",
            "integer_above_max_value",
        ),
        (
            b'{"name": "123456789"}',
            "Invalid 'name': string too long. Expected a string with maximum length 8, "
            "but got a string with length 9 instead.",
            "name",
            "string_above_max_length",
        ),
        (
            b'{"name": "x", "size": "1"}',
            "Invalid type for 'size': expected an integer, but got a string instead.",
            "size",
            "invalid_type",
        ),
        (
            b'{"name": "x", "metadata": {"a": 1}}',
            "Invalid type for 'metadata.a': expected a string, but got an integer instead.",
            "metadata.a",
            "invalid_type",
        ),
    ],
    ids=["missing", "type", "unknown", "bound", "long", "no coercion", "metadata"],
)
def test_faults_are_told_in_openais_words(server, body, message, param, code):
    status, answer = post(server, body)

    assert status == 400
    assert answer["error"] == {"message": message, "type": "invalid_request_error", "param": param, "code": code}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"name": "x", "size": NaN}',
        b'{"name": "x", "size": 1e999}',
        b'{"name": "x", "size": ' + b"9" * 5000 + b"}",
        b'{"name": ' + b"[" * 100_000,
        b'{"name": "\xff"}',
        b'{"name": "\\ud83d"}',
        b'{"name": "x", "metadata": ' + b'{"a":' * 5000 + b"1" + b"}" * 5001,
    ],
    ids=["empty", "cut", "array", "null", "nan", "infinite", "long", "deep", "bytes", "surrogate", "deep object"],
)
def test_hostile_bodies_are_refused_with_an_envelope(server, body):
    status, answer = post(server, body)

    assert status == 400
    assert answer["error"]["type"] == "invalid_request_error"
    assert things(server) == []


def test_a_nul_byte_is_text_like_any_other(server):
    status, answer = post(server, b'{"name": "a\\u0000b"}')

    assert (status, answer["name"]) == (200, "a\0b")


def test_a_body_beyond_the_limit_is_refused_before_it_is_read(tmp_path):
    with serve_for_test(tmp_path, routers=[router], max_body=1000) as server:
        status, answer = post(server, b" " * 100_000 + b'{"name": "x"}')

    assert status == 413
    assert "at most" in answer["error"]["message"]


@pytest.mark.parametrize("path", ["/v1/broken", "/v1/broken/form"])
def test_a_fault_of_ours_is_a_500_in_the_envelope_and_a_traceback_in_the_log(server, caplog, path):
    status, answer = request(server, "GET", path)

    assert (status, answer["error"]["type"]) == (500, "server_error")
    assert "ZeroDivisionError" in caplog.text


def test_a_retry_gets_the_first_object(server):
    _, first = post(server, b'{"name": "x"}')
    forget_delivery(server, first["id"])

    _, second = post(server, b'{"name": "x"}', x_stainless_retry_count="1")

    assert second["id"] == first["id"]
    assert len(things(server)) == 1


def test_a_retry_whose_first_attempt_was_lost_creates(server):
    _, earlier = post(server, b'{"name": "yes"}')
    while earlier["id"] not in server.services.delivered:
        time.sleep(0.01)

    _, retried = post(server, b'{"name": "yes"}', x_stainless_retry_count="1")

    assert retried["id"] != earlier["id"]


def test_a_retry_after_a_client_that_went_away_gets_its_object(server):
    connection = http.client.HTTPConnection(urlsplit(server.base_url).netloc)
    with server.store.write():  # the creation waits for this transaction
        connection.request("POST", "/v1/things", b'{"name": "x"}', {"content-type": "application/json"})
        connection.sock.close()
        connection.close()

    while not things(server):
        pass
    _, retried = post(server, b'{"name": "x"}', x_stainless_retry_count="1")

    assert [thing.id for thing in things(server)] == [retried["id"]]


def test_an_idempotency_key_decides_whatever_was_delivered(server):
    answers = [post(server, b'{"name": "x"}', idempotency_key="k1")[1]["id"] for _ in range(3)]
    other = post(server, b'{"name": "x"}', idempotency_key="k2")[1]["id"]

    assert len(set(answers)) == 1
    assert other not in answers


def test_concurrent_attempts_with_one_key_create_one_object(server):
    threads = [
        threading.Thread(target=post, args=(server, b'{"name": "x"}'), kwargs={"idempotency_key": "k"})
        for _ in range(8)
    ]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]

    assert len(things(server)) == 1


def test_a_key_is_asked_for_once_one_exists(server):
    key, made = create_key(server.store, "laptop", project="p1")
    headers = {"authorization": f"Bearer {key}"}

    assert post(server, b'{"name": "x"}')[0] == 401
    assert post(server, b'{"name": "x"}', authorization="Bearer sk-wrong")[1]["error"]["code"] == "invalid_api_key"
    assert post(server, b'{"name": "x"}', **headers)[0] == 200
    assert [thing.project for thing in things(server)] == ["p1"]

    assert key not in json.dumps(made)

    revoke_key(server.store, made["id"])
    create_key(server.store, "another")

    assert post(server, b'{"name": "x"}', **headers)[0] == 401


def test_the_setting_opens_everything(tmp_path):
    with serve_for_test(tmp_path, routers=[router], api_key="sk-master") as server:
        assert post(server, b'{"name": "x"}')[0] == 401
        assert post(server, b'{"name": "x"}', authorization="Bearer sk-master")[0] == 200
        assert request(server, "GET", "/health")[0] == 200
