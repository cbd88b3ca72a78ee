"""A hypotez server in front of another: what is forwarded, what comes back, what never leaks."""

from urllib.parse import unquote

import httpx2
import openai
import pytest
from tests.serving import serve_for_test

from hypotez.server import chat, embeddings, models
from hypotez.settings import Upstream
from hypotez.testing import ScriptedBackend
from hypotez.upstream import UpstreamBackend
from hypotez.worker.routing import Served

HELLO = [{"role": "user", "content": "hello there"}]
KEY = "sk-secret-0123456789"
ROUTERS = [chat.router, embeddings.router, models.router]


@pytest.fixture
def elsewhere(tmp_path):
    """Another server with a model of its own, which asks for a key."""
    (tmp_path / "elsewhere").mkdir()
    backend = ScriptedBackend(["Paris is the capital."] * 2, models=["gpt-5"])
    with serve_for_test(tmp_path / "elsewhere", backend, routers=ROUTERS, api_key=KEY) as server:
        yield server


def in_front(tmp_path, url, key=KEY, transport=None):
    (tmp_path / "front").mkdir()
    upstream = UpstreamBackend(Upstream(base_url=url, api_key=key), transport)
    return serve_for_test(tmp_path / "front", routers=ROUTERS, upstreams=[Served(upstream, ["gpt-*"])])


def test_answers_pass_through_plain_streamed_and_embedded(tmp_path, elsewhere):
    with in_front(tmp_path, elsewhere.base_url) as front:
        create = front.client.chat.completions.create
        plain = create(model="gpt-5", messages=HELLO, extra_body={"top_k": 3})
        streamed = create(model="gpt-5", messages=HELLO, stream=True)
        said = "".join(chunk.choices[0].delta.content or "" for chunk in streamed)
        vectors = front.client.embeddings.create(model="gpt-5", input=["a"])
        listed = {model.id for model in front.client.models.list()}

    assert plain.choices[0].message.content == said == "Paris is the capital."
    assert plain.usage.completion_tokens > 0
    assert elsewhere.backend.requests[0]["top_k"] == 3
    assert len(vectors.data[0].embedding) == 16
    assert "gpt-5" in listed


def test_a_wrong_key_is_the_upstreams_401_and_is_not_shown(tmp_path, elsewhere):
    with (
        in_front(tmp_path, elsewhere.base_url, "sk-wrong-key-987") as front,
        pytest.raises(openai.AuthenticationError) as caught,
    ):
        front.client.chat.completions.create(model="gpt-5", messages=HELLO)

    assert "sk-wrong-key-987" not in str(caught.value)


def refusing(status, error, headers=None):
    return httpx2.MockTransport(lambda request: httpx2.Response(status, json={"error": error}, headers=headers))


def test_an_empty_account_is_final(tmp_path):
    error = {"message": f"You exceeded your quota, {KEY}", "type": "insufficient_quota", "code": "insufficient_quota"}
    with (
        in_front(tmp_path, "http://up/v1", transport=refusing(429, error)) as front,
        pytest.raises(openai.RateLimitError) as caught,
    ):
        front.client.chat.completions.create(model="gpt-5", messages=HELLO)

    assert caught.value.response.headers["x-should-retry"] == "false"
    assert caught.value.code == "insufficient_quota"
    assert KEY not in str(caught.value)


def test_a_rate_limit_says_when_to_come_back(tmp_path):
    error = {"message": "slow down", "type": "requests", "code": "rate_limit_exceeded"}
    with (
        in_front(tmp_path, "http://up/v1", transport=refusing(429, error, {"retry-after": "7"})) as front,
        pytest.raises(openai.RateLimitError) as caught,
    ):
        front.client.chat.completions.create(model="gpt-5", messages=HELLO, stream=True)

    assert caught.value.response.headers["retry-after"] == "7"


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
def test_an_upstream_that_is_not_there_is_a_502_with_its_address(tmp_path, stream):
    with in_front(tmp_path, "http://127.0.0.1:9/v1") as front, pytest.raises(openai.APIStatusError) as caught:
        front.client.chat.completions.create(model="gpt-5", messages=HELLO, stream=stream)

    assert caught.value.status_code == 502
    assert "http://127.0.0.1:9/v1" in caught.value.body["message"]


def test_the_list_of_models_does_not_need_the_upstream(tmp_path):
    with in_front(tmp_path, "http://127.0.0.1:9/v1") as front:
        assert "scripted" in {model.id for model in front.client.models.list()}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://up/v1/", "http://up/v1/chat/completions"),
        ("http://x.openai.azure.com/openai/v1?api-version=1", "http://x.openai.azure.com/openai/v1/chat/completions?api-version=1"),
    ],
    ids=["slash", "azure"],
)  # fmt: skip
def test_addresses_keep_their_query(tmp_path, url, expected):
    asked = []

    def reply(request):
        asked.append((str(request.url), request.headers.get("api-key")))
        return httpx2.Response(200, text="data: [DONE]\n\n")

    with in_front(tmp_path, url, transport=httpx2.MockTransport(reply)) as front:
        front.client.chat.completions.create(model="gpt-5", messages=HELLO)

    assert asked[0][0] == expected
    assert (asked[0][1] is not None) == ("azure" in url)


@pytest.mark.parametrize(
    "name", ["gpt-\r\nx-evil: 1", "gpt-\x00", "gpt-модель", "gpt-🦊", "gpt-a b", "gpt-" + "x" * 100_000]
)
@pytest.mark.parametrize("path", ["chat/completions", "chat/completions streamed", "embeddings"])
def test_a_models_name_cannot_break_the_answers_headers(tmp_path, name, path):
    backend = ScriptedBackend(models=["gpt-5"])
    body = {"model": name, "messages": HELLO, "input": "a", "stream": "streamed" in path}
    if path == "embeddings":
        del body["messages"], body["stream"]

    with serve_for_test(tmp_path, routers=ROUTERS, upstreams=[Served(backend, ["gpt-*"])]) as server:
        response = httpx2.post(f"{server.base_url}/{path.split()[0]}", json=body)

    assert response.status_code == (400 if len(name) > 256 else 200)
    assert "x-evil" not in response.headers
    if response.status_code == 200:
        assert unquote(response.headers["x-hypotez-model"]) == name


@pytest.mark.parametrize(
    ("url", "hint"), [("http://up", " Its address usually ends in /v1."), ("http://up/v1", "")], ids=["bare", "v1"]
)
def test_an_answer_that_is_no_error_of_openais_is_told_with_its_address(tmp_path, url, hint):
    page = httpx2.MockTransport(lambda request: httpx2.Response(404, text="404 page not found"))
    with in_front(tmp_path, url, transport=page) as front, pytest.raises(openai.NotFoundError) as caught:
        front.client.chat.completions.create(model="gpt-5", messages=HELLO)

    assert caught.value.body["message"] == f"The upstream {url} answered with status 404: 404 page not found.{hint}"
