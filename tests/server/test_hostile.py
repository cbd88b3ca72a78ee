"""Whatever a client sends, the answer is OpenAI's envelope with a 4xx or the thing done: never a 5xx, never silence."""

import copy
import json
import os

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.assistants import assistants_server
from tests.server.routes import ROUTES, fill

from hypotez.testing import ScriptedBackend

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")  # OpenAI marked the SDK's calls so

EXAMPLES = int(os.environ.get("HYPOTEZ_HOSTILE_EXAMPLES", "30"))  # generated cases per route
POSTS = [route for route in ROUTES if route.method == "POST"]
LISTS = [route for route in ROUTES if route.method == "GET" and route.path.endswith(("s", "stream"))]

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**63, -(2**63) - 1, 10**400, 0, -1])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(["", "\x00", "../../etc/passwd", "\ud83d", "{thread_id}", "x" * 5000, "auto", "asst_x", "🦊"])
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = [
    "model", "name", "instructions", "tools", "tool_resources", "metadata", "temperature", "top_p", "response_format",
    "messages", "role", "content", "attachments", "assistant_id", "thread", "additional_messages", "tool_choice",
    "max_prompt_tokens", "max_completion_tokens", "truncation_strategy", "parallel_tool_calls", "stream",
    "tool_outputs", "reasoning_effort", "additional_instructions", "type", "function", "parameters",
]  # fmt: skip


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A server with one of everything, and a client that keeps its connection."""
    with assistants_server(tmp_path_factory.mktemp("home"), ScriptedBackend(lambda body: "ok")) as server:
        beta = server.running.client.beta
        assistant = beta.assistants.create(model="scripted")
        thread = beta.threads.create(messages=[{"role": "user", "content": "hi"}])
        run = beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
        ids = {
            "assistant_id": assistant.id,
            "thread_id": thread.id,
            "run_id": run.id,
            "message_id": beta.threads.messages.list(thread.id).data[0].id,
            "step_id": beta.threads.runs.steps.list(run.id, thread_id=thread.id).data[0].id,
        }
        with httpx2.Client(base_url=server.base_url, timeout=60) as http:
            yield http, ids


def is_well_answered(response: httpx2.Response) -> None:
    assert response.status_code < 500, response.text[:2000]
    if response.status_code >= 400:
        error = response.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert error["message"]


def send(http, method: str, path: str, raw: bytes) -> None:
    headers = {"content-type": "application/json"}
    with http.stream(method, path, content=raw, headers=headers) as response:
        if response.headers["content-type"].startswith("application/json"):
            response.read()
        is_well_answered(response)


@st.composite
def mutated(draw, body):
    """The right body with one thing put in, replaced or taken away."""
    body = copy.deepcopy(body)
    place = body
    while isinstance(place, (dict, list)) and place and draw(st.booleans()):
        keys = list(place) if isinstance(place, dict) else range(len(place))
        key = draw(st.sampled_from(list(keys)))
        if not isinstance(place[key], (dict, list)):
            break
        place = place[key]
    if isinstance(place, list):
        place.append(draw(JSON))
    else:
        name = draw(st.sampled_from([*place, *FIELDS]))
        if name in place and draw(st.booleans()):
            del place[name]
        else:
            place[name] = draw(JSON)
    return body


@pytest.mark.parametrize("route", POSTS, ids=str)
def test_a_right_body_gone_wrong_somewhere_is_answered(scene, route):
    http, ids = scene
    path, body = fill(route, ids)

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(mutated(body or {}))
    def attempt(wrong):
        send(http, "POST", path, json.dumps(wrong).encode())

    attempt()


@pytest.mark.parametrize("route", POSTS, ids=str)
def test_any_json_at_all_is_answered(scene, route):
    http, ids = scene
    path, _ = fill(route, ids)

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(JSON)
    def attempt(anything):
        send(http, "POST", path, json.dumps(anything).encode())

    attempt()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b'{"model": "scripted", ',
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        b'{"model": "scripted", "metadata": {"a": NaN}}',
        b'{"model": "scripted", "temperature": 1e999}',
        b'{"model": "scripted", "instructions": "' + b"x" * 10_000_000 + b'"}',
        b'{"role": "user", "content": "' + b"y" * 10_000_000 + b'"}',
        b'{"model": "scripted", "tools": [{"type": "function", "function": {"name": "f", "parameters": '
        + b'{"a":' * 150
        + b"1"
        + b"}" * 150
        + b"}}]}",
        b'"a string"',
        b"null",
    ],
    ids=lambda raw: f"{raw[:24]!r}-{len(raw)}",
)
@pytest.mark.parametrize("route", [POSTS[0], POSTS[2], POSTS[5]], ids=str)
def test_broken_endless_and_deep_bodies_are_answered(scene, route, raw):
    http, ids = scene
    path, _ = fill(route, ids)

    send(http, "POST", path, raw)


@pytest.mark.parametrize("route", LISTS, ids=str)
@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=101", "limit=x", "limit=9999999999999999999", "order=up", "after=", "after=none", "before=%00",
     "after=../../x&limit=5", "after=-1", "after=18446744073709551616", "run_id=%F0%9F%A6%8A"],
)  # fmt: skip
def test_odd_queries_are_answered(scene, route, query):
    http, ids = scene
    path, _ = fill(route, ids)

    send(http, "GET", f"{path}?{query}", b"")


@pytest.mark.parametrize(
    "id", ["%00", "..%2F..%2Fetc", "x" * 3000, "%F0%9F%A6%8A", "%ff", "'; DROP TABLE documents;--"]
)
@pytest.mark.parametrize("route", [route for route in ROUTES if "{" in route.path], ids=str)
def test_odd_ids_are_not_found(scene, route, id):
    http, ids = scene
    _, body = fill(route, ids)
    path = route.path
    for name in ids:
        path = path.replace(f"{{{name}}}", id)

    response = http.request(route.method, path, json=body)

    assert response.status_code == 404
    is_well_answered(response)
