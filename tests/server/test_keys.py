"""Keys: whose requests they are, how many a minute, how large, and what revoking one means."""

import httpx2
import openai
import pytest
from tests.serving import serve_for_test

from hypotez.errors import RateLimited
from hypotez.server import models
from hypotez.server.auth import create_key, list_keys, revoke_key
from hypotez.server.limits import Limits


@pytest.fixture
def server(tmp_path):
    with serve_for_test(tmp_path, routers=[models.router]) as server:
        yield server


def client_of(server, key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=server.base_url, api_key=key, max_retries=0)


def test_a_limited_key_gets_openais_429_and_its_headers(server):
    key, _ = create_key(server.store, "slow", requests_per_minute=2)
    client = client_of(server, key)

    first = client.models.with_raw_response.list()
    client.models.list()
    with pytest.raises(openai.RateLimitError) as caught:
        client.models.list()

    assert first.headers["x-ratelimit-remaining-requests"] == "1"
    assert caught.value.code == "rate_limit_exceeded"
    assert int(caught.value.response.headers["retry-after"]) in range(1, 31)
    assert "Limit 2, Used 2, Requested 1" in caught.value.body["message"]


def test_another_key_is_not_slowed(server):
    slow, _ = create_key(server.store, "slow", requests_per_minute=1)
    fast, _ = create_key(server.store, "fast")
    client_of(server, slow).models.list()

    assert "x-ratelimit-limit-requests" not in client_of(server, fast).models.with_raw_response.list().headers


def test_the_minute_fills_up_again():
    now = [0.0]
    limits = Limits(lambda: now[0])
    for _ in range(3):
        limits.spend("k", 3)
    with pytest.raises(RateLimited) as caught:
        limits.spend("k", 3)

    now[0] += caught.value.retry_after

    assert limits.spend("k", 3)["x-ratelimit-remaining-requests"] == "0"
    assert caught.value.retry_after == pytest.approx(20)


def test_a_key_may_be_held_to_small_requests(server):
    key, _ = create_key(server.store, "small", max_body=10)

    with pytest.raises(openai.APIStatusError) as caught:
        client_of(server, key).post("/models", body={"x": "y" * 100_000}, cast_to=object)

    assert caught.value.status_code == 413


def test_revoking_the_last_key_opens_no_door(server):
    key, made = create_key(server.store, "only")
    client_of(server, key).models.list()

    revoke_key(server.store, made["id"])

    assert list_keys(server.store) == []
    for one in (key, "none"):
        with pytest.raises(openai.AuthenticationError):
            client_of(server, one).models.list()


def test_the_store_holds_no_key(server, tmp_path):
    key, _ = create_key(server.store, "secret")
    server.store.close()

    assert all(key.encode() not in path.read_bytes() for path in tmp_path.glob("hypotez.db*"))


@pytest.mark.parametrize(
    ("headers", "answered"),
    [
        ({}, True),
        ({"Origin": "http://127.0.0.1:8000"}, True),
        ({"Origin": "http://localhost"}, True),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Host": "evil.example"}, False),
        ({"Host": "evil.example:8000"}, False),
    ],
    ids=str,
)
def test_without_a_key_only_this_machine_is_answered(server, headers, answered):
    response = httpx2.get(f"{server.base_url}/models", headers=headers)

    assert response.status_code == (200 if answered else 403)


def test_with_a_key_any_page_that_has_it_is_answered(server):
    key, _ = create_key(server.store, "page")
    headers = {"Origin": "https://page.example", "Authorization": f"Bearer {key}"}

    assert httpx2.get(f"{server.base_url}/models", headers=headers).status_code == 200


def test_metrics_are_for_those_with_a_key(server):
    url = server.base_url.replace("/v1", "/metrics")
    before = httpx2.get(url)
    key, _ = create_key(server.store, "one")

    assert 'hypotez_fine_tuning_jobs{status="running"} 0' in before.text
    assert httpx2.get(url).status_code == 401
    assert 'status="200"' in httpx2.get(url, headers={"Authorization": f"Bearer {key}"}).text
