"""Whatever a client sends, the answer is OpenAI's envelope with a 4xx or the thing done: never a 5xx, never silence."""

import copy
import json
import os
from typing import get_args

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from tests.server.routes import ROUTES, Route, fill
from tests.server.whole import served, whole_server

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")  # OpenAI marked the SDK's calls so

EXAMPLES = int(os.environ.get("HYPOTEZ_HOSTILE_EXAMPLES", "15"))  # generated cases per route
POSTS = [route for route in ROUTES if route.method == "POST" and not route.form]
LISTS = [route for route in ROUTES if route.method == "GET" and route.path.endswith(("s", "stream"))]
MEGABYTES = b"x" * 10_000_000

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
    "training_file", "validation_file", "hyperparameters", "method", "suffix", "seed", "integrations", "project_ids",
    "grader", "model_sample", "item", "input", "dimensions", "encoding_format", "stop", "n", "logit_bias", "logprobs",
    "top_logprobs", "stream_options", "max_tokens", "functions", "function_call", "user", "source", "calculate_output",
]  # fmt: skip


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A server with one of everything, and a client that keeps its connection."""
    with (
        whole_server(tmp_path_factory.mktemp("home")) as whole,
        httpx2.Client(base_url=whole.base_url, timeout=60) as http,
    ):
        yield http, whole.ids


def is_well_answered(response: httpx2.Response) -> None:
    assert response.status_code < 500, response.text[:2000]
    if response.status_code >= 400:
        assert set(response.json()) == {"error"}
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
        b'{"model": "a", "model": "b", "model": 5}',
        b'{"model": "\\ud83d"}',
        b'{"\\u0000": "\\u0000", "model": "\\u0000"}',
        b'{"model": ' + b"9" * 10_000 + b"}",
        b'{"model": -1e400}',
        b'\xef\xbb\xbf{"model": "scripted"}',
        '{"model": "scripted"}'.encode("utf-16"),
        b'{"model": "\xc0\xaf"}',
        MEGABYTES,
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
@pytest.mark.parametrize("route", POSTS, ids=str)
def test_broken_endless_and_deep_bodies_are_answered(scene, route, raw):
    http, ids = scene
    path, _ = fill(route, ids)

    send(http, "POST", path, raw)


def fields_of(route: Route) -> dict[str, bool]:
    """Names in the right body and all others of the route's request model, and whether text may stand there."""
    models = [
        part
        for one in served()
        if (one.path.replace(":path", ""), {route.method}) == (route.path, one.methods)
        for body in one.dependant.body_params
        for part in (body.field_info.annotation, *get_args(body.field_info.annotation))
        if isinstance(part, type) and issubclass(part, BaseModel)
    ]
    described = {name: "str" in str(field.annotation) for model in models for name, field in model.model_fields.items()}
    return {**dict.fromkeys(route.body, True), "metadata": True, **described}


@pytest.mark.parametrize("route", POSTS, ids=str)
def test_ten_megabytes_and_endless_brackets_in_every_field_are_answered(scene, route):
    http, ids = scene
    path, body = fill(route, ids)

    for name, text in fields_of(route).items():
        head = json.dumps({key: value for key, value in (body or {}).items() if key != name})[:-1].encode()
        head += (b", " if len(head) > 1 else b"") + json.dumps(name).encode() + b": "
        string = b'"' + MEGABYTES[: None if text else 1000] + b'"'
        for value in (string, b"[" * 100_000, b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000):
            send(http, "POST", path, head + value + b"}")


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "multipart/form-data; boundary=x", "",
     "application/json; charset=utf-16", "application/json; charset=nonsense", "application/json;;;", "a/b/c", "json"],
)  # fmt: skip
@pytest.mark.parametrize("route", [*POSTS, *(route for route in ROUTES if route.form)], ids=str)
def test_any_content_type_is_answered(scene, route, kind):
    http, ids = scene
    path, body = fill(route, ids)

    response = http.post(path, content=json.dumps(body).encode(), headers={"content-type": kind})

    assert response.status_code == 400 or not body or "application/json" in kind
    is_well_answered(response)


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


@pytest.mark.parametrize("id", ["%00", "..%2F..%2Fetc", "%2e%2e", "..%5c..%5cetc", "x" * 3000, "%F0%9F%A6%8A", "%ff",
                                "'; DROP TABLE documents;--", "{thread_id}", "%0d%0ax: y"])  # fmt: skip
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


@pytest.mark.parametrize("key", ["%00", "a%22b", "%5c", "", "]", "%F0%9F%A6%8A", "%ff", "x" * 3000, "a.b", "$"])
def test_odd_names_of_metadata_find_nothing(scene, key):
    http, _ = scene

    response = http.get(f"/fine_tuning/jobs?metadata[{key}]=x")

    assert (response.status_code, response.json()["data"]) == (200, [])


@pytest.mark.parametrize("key", ['a"b', "a\\b", "ключ", "🦊", "a.b", "$", "]", "", "a'b", '"."'])
def test_every_name_of_metadata_can_be_asked_for(scene, key):
    http, ids = scene
    body = {"model": "scripted", "training_file": ids["file_id"], "metadata": {key: "да"}}
    made = http.post("/fine_tuning/jobs", json=body).json()

    found = http.get("/fine_tuning/jobs", params={f"metadata[{key}]": "да"}).json()["data"]

    assert [job["id"] for job in found] == [made["id"]]


PART = b'--B\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
PURPOSE = PART % (b"purpose", b"", b"assistants")


def uploaded(name: bytes, content: bytes = b"hi", more: bytes = b"") -> bytes:
    return PURPOSE + more + PART % (b"file", b'; filename="%s"' % name, content) + b"--B--\r\n"


@pytest.mark.parametrize("charset", ["utf-8", "utf-16", "idna", "undefined", "base64", "unicode_escape", "x" * 500])
@pytest.mark.parametrize(
    "name",
    [b"../../etc/passwd", b"..\\..\\x", b"\\ud83d.txt", b"\xff\x00", b"", b"a" * 3000, b".", b"..", b"/", b"a\tb"],
)
def test_odd_names_and_charsets_of_uploads_are_answered(scene, name, charset):
    http, _ = scene
    headers = {"content-type": f"multipart/form-data; boundary=B; charset={charset}"}

    response = http.post("/files", content=uploaded(name), headers=headers)

    is_well_answered(response)
    if response.status_code == 200:
        kept = response.json()["filename"]
        assert "/" not in kept
        assert 0 < len(kept) <= 255
        content = http.get(f"/files/{response.json()['id']}/content")
        assert (content.status_code, content.content) == (200, b"hi")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--B",
        PURPOSE,
        uploaded(b"a")[:-10],
        b"\xff" * 1000,
        PART % (b"file", b"", b"text") + PURPOSE + b"--B--\r\n",
        b"".join(PART % (b"p%d" % n, b"", b"x") for n in range(1500)) + b"--B--\r\n",
        uploaded(b"a", more=PART % (b"expires_after[seconds]", b"", b"9" * 6000)),
        uploaded(b"a", more=PART % (b"expires_after[anchor]", b"", b"\x00")),
        uploaded(b"a", more=PART % (b"purpose", b"", MEGABYTES[:2_000_000])),
        uploaded(b"a" * 100_000),
        uploaded(b"a", more=b"--B\r\nContent-Disposition: " + b"x" * 100_000 + b"\r\n\r\nx\r\n"),
    ],
    ids=lambda body: f"{body[:24]!r}-{len(body)}",
)
def test_broken_uploads_are_refused_as_uploads(scene, body):
    http, _ = scene

    response = http.post("/files", content=body, headers={"content-type": "multipart/form-data; boundary=B"})

    assert response.status_code == 400
    is_well_answered(response)
    assert "JSON" not in response.json()["error"]["message"]
