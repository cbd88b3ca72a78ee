"""One project's key never sees another's objects: every operation, tried with foreign ids wherever it takes one.

The operations come from the application's own routes and the places for ids in bodies from its request models, so
that a new one cannot be forgotten.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, get_args

import httpx2
import pytest
from openai import OpenAI
from pydantic import BaseModel
from tests.server.routes import MESSAGE, ROUTES, fill
from tests.server.whole import populate, served, whole_server

from hypotez.server.auth import create_key

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")  # OpenAI marked the SDK's calls so


class Scene:
    """Two projects on one server, each with one of everything."""

    def __init__(self, whole):
        self.whole, store = whole, whole.server.store
        self.keys = {name: create_key(store, name, project=name)[0] for name in ("mine", "theirs")}
        self.ids = {name: self._populate(name) for name in self.keys}

    def _populate(self, name):
        client = OpenAI(base_url=self.whole.base_url, api_key=self.keys[name], max_retries=0)
        return populate(self.whole.server, client, project=name, suffix=f"-{name}")

    @property
    def foreign(self) -> list[str]:
        return [*self.ids["mine"].values(), '"mine"']

    def ask(self, method, path, key="theirs", **request):
        """The answer to a key, and no word in it of the other project's."""
        headers = {"Authorization": f"Bearer {self.keys[key]}", **request.pop("headers", {})}
        return httpx2.request(method, f"{self.whole.base_url}{path}", headers=headers, timeout=30, **request)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    with whole_server(tmp_path_factory.mktemp("home")) as whole:
        yield Scene(whole)


def places_in_paths():
    """Every route with an id in its path, and each single id of it that may be foreign, and all of them."""
    for route in ROUTES:
        names = re.findall(r"{(\w+)}", route.path)
        for foreign in [*([name] for name in names), *([names] if len(names) > 1 else [])]:
            yield pytest.param(route, foreign, id=f"{route} {'+'.join(foreign)}")


@pytest.mark.parametrize(("route", "foreign"), list(places_in_paths()))
def test_a_foreign_id_in_a_path_is_not_found(scene, route, foreign):
    mixed = {**scene.ids["theirs"], **{name: scene.ids["mine"][name] for name in foreign}}
    path, _ = fill(route, mixed)
    _, body = fill(route, scene.ids["theirs"])

    response = scene.ask(route.method, path, json=body)

    if "permissions" in path:
        assert response.status_code == 403  # for administrators only, whoever's the model is
    else:
        assert response.status_code == 404, response.text
    told = response.json()["error"]["message"]
    assert not any(id in told for id in scene.foreign if id not in path), told


def test_nothing_was_changed_by_any_of_that(scene):
    mine, ask = scene.ids["mine"], scene.ask

    for route in ROUTES:
        if route.method == "GET" and "{" in route.path and "permissions" not in route.path:
            path, _ = fill(route, mine)
            assert ask("GET", path, key="mine").status_code == 200, path
    run = ask("GET", f"/threads/{mine['thread_id']}/runs/{mine['run_id']}", key="mine").json()
    assert run["status"] == "requires_action"


LISTS = [route for route in ROUTES if route.method == "GET" and not route.path.endswith(("}", "/content", "/stream"))]


@pytest.mark.parametrize("route", [r for r in LISTS if "permissions" not in r.path and r.path != "/threads"], ids=str)
def test_a_list_holds_nothing_foreign(scene, route):
    path, _ = fill(route, scene.ids["theirs"])

    response = scene.ask("GET", path)

    assert response.status_code == 200
    assert response.json()["data"] or route.path.endswith("/checkpoints")
    assert not any(id in response.text for id in scene.foreign), response.text


CURSORS = {
    "/assistants": "assistant_id",
    "/files": "file_id",
    "/fine_tuning/jobs": "job_id",
    "/fine_tuning/jobs/{job_id}/events": "job_id",
    "/fine_tuning/jobs/{job_id}/checkpoints": "job_id",
    "/threads/{thread_id}/messages": "message_id",
    "/threads/{thread_id}/runs": "run_id",
    "/threads/{thread_id}/runs/{run_id}/steps": "step_id",
}


@pytest.mark.parametrize("cursor", ["after", "before"])
@pytest.mark.parametrize("route", [r for r in LISTS if "permissions" not in r.path and r.path != "/threads"], ids=str)
def test_a_foreign_cursor_is_refused(scene, route, cursor):
    if route.path == "/models":
        pytest.skip("this list has no pages")
    if route.path == "/fine_tuning/jobs" and cursor == "before":
        pytest.skip("OpenAI's list of jobs knows only 'after'")
    path, _ = fill(route, scene.ids["theirs"])

    response = scene.ask("GET", path, params={cursor: scene.ids["mine"][CURSORS[route.path]]})

    assert response.status_code == 400, response.text
    assert response.json()["error"]["param"] == cursor


def test_filters_find_nothing_foreign(scene):
    mine, theirs = scene.ids["mine"], scene.ids["theirs"]

    jobs = scene.ask("GET", "/fine_tuning/jobs", params={"metadata[whose]": "mine"}).json()["data"]
    messages = scene.ask("GET", f"/threads/{theirs['thread_id']}/messages", params={"run_id": mine["run_id"]}).json()

    assert (jobs, messages["data"]) == ([], [])


FOREIGN_RUN = {"assistant_id": "{mine.assistant_id}"}
IMAGE = {"role": "user", "content": [{"type": "image_file", "image_file": {"file_id": "{mine.file_id}"}}]}
ATTACHED = {**MESSAGE, "attachments": [{"file_id": "{mine.file_id}", "tools": [{"type": "file_search"}]}]}
CODE = {"code_interpreter": {"file_ids": ["{mine.file_id}"]}}
SEARCH = {"file_search": {"vector_store_ids": ["vs_mine"]}}
JOB = {"model": "scripted", "training_file": "{theirs.file_id}"}
THEIR_RUN = {"assistant_id": "{theirs.assistant_id}"}
THREAD, RUN = "/threads/{theirs.ended_thread}", "/threads/{theirs.ended_thread}/runs/{theirs.ended_run}"
JUDGE = {"type": "score_model", "name": "g", "model": "{mine.model}", "input": [{"role": "user", "content": "x"}]}
LABELS = {**JUDGE, "type": "label_model", "labels": ["a"], "passing_labels": ["a"]}

# where a body names an object: the request model's field, the request, and the status
NOT_FOUND, REFUSED = 404, 400
BODIES: list[tuple[str, str, str, dict[str, Any], Any]] = [
    ("CreateAssistant", "model", "/assistants", {"model": "{mine.model}"}, REFUSED),
    ("ModifyAssistant", "model", "/assistants/{theirs.assistant_id}", {"model": "{mine.model}"}, REFUSED),
    *(
        (name, field, path, {**body, "tool_resources": given}, status)
        for name, path, body in (
            ("CreateAssistant", "/assistants", {"model": "scripted"}),
            ("ModifyAssistant", "/assistants/{theirs.assistant_id}", {}),
            ("CreateThread", "/threads", {}),
            ("ModifyThread", "/threads/{theirs.thread_id}", {}),
            ("CreateThreadAndRun", "/threads/runs", THEIR_RUN),
        )
        for field, given, status in (
            ("tool_resources.code_interpreter.file_ids", CODE, NOT_FOUND),
            ("tool_resources.file_search.vector_store_ids", SEARCH, NOT_FOUND),
        )
    ),
    ("CreateMessage", "content.image_file.file_id", f"{THREAD}/messages", IMAGE, NOT_FOUND),
    ("CreateMessage", "attachments.file_id", f"{THREAD}/messages", ATTACHED, NOT_FOUND),
    ("CreateThread", "messages.content.image_file.file_id", "/threads", {"messages": [IMAGE]}, NOT_FOUND),
    ("CreateThread", "messages.attachments.file_id", "/threads", {"messages": [ATTACHED]}, NOT_FOUND),
    ("CreateRun", "assistant_id", f"{THREAD}/runs", FOREIGN_RUN, NOT_FOUND),
    ("CreateRun", "model", f"{THREAD}/runs", {**THEIR_RUN, "model": "{mine.model}"}, REFUSED),
    *(
        ("CreateRun", f"additional_messages.{field}", f"{THREAD}/runs", {**THEIR_RUN, "additional_messages": [given]},
         NOT_FOUND)
        for field, given in (("content.image_file.file_id", IMAGE), ("attachments.file_id", ATTACHED))
    ),
    ("CreateThreadAndRun", "assistant_id", "/threads/runs", FOREIGN_RUN, NOT_FOUND),
    ("CreateThreadAndRun", "model", "/threads/runs", {**THEIR_RUN, "model": "{mine.model}"}, REFUSED),
    *(
        ("CreateThreadAndRun", f"thread.{field}", "/threads/runs", {**THEIR_RUN, "thread": given}, status)
        for field, given, status in (
            ("messages.content.image_file.file_id", {"messages": [IMAGE]}, NOT_FOUND),
            ("messages.attachments.file_id", {"messages": [ATTACHED]}, NOT_FOUND),
            ("tool_resources.code_interpreter.file_ids", {"tool_resources": CODE}, NOT_FOUND),
            ("tool_resources.file_search.vector_store_ids", {"tool_resources": SEARCH}, NOT_FOUND),
        )
    ),
    ("SubmitToolOutputs", "tool_outputs.tool_call_id", f"{RUN}/submit_tool_outputs",
     {"tool_outputs": [{"tool_call_id": "c", "output": "x"}]}, REFUSED),
    ("CreateChatCompletion", "model", "/chat/completions", {"model": "{mine.model}", "messages": [MESSAGE]}, NOT_FOUND),
    ("CreateEmbedding", "model", "/embeddings", {"model": "{mine.model}", "input": "x"}, NOT_FOUND),
    ("CreateJob", "model", "/fine_tuning/jobs", {**JOB, "model": "{mine.model}"}, REFUSED),
    ("CreateJob", "training_file", "/fine_tuning/jobs", {**JOB, "training_file": "{mine.file_id}"}, REFUSED),
    ("CreateJob", "validation_file", "/fine_tuning/jobs", {**JOB, "validation_file": "{mine.file_id}"}, REFUSED),
    ("CreatePermissions", "project_ids", "/fine_tuning/checkpoints/{theirs.model}/permissions",
     {"project_ids": ["mine"]}, 403),
]  # fmt: skip

ELSEWHERE = {
    # ids of calls: the whole conversation is in the request
    "CreateChatCompletion messages.tool_call_id",
    "CreateChatCompletion messages.tool_calls.id",
    # names of judges: validation asks none, and what a run answers is tested below
    "ValidateGrader grader.model",
    "ValidateGrader grader.graders.model",
    "RunGrader grader.model",
    "RunGrader grader.graders.model",
    "CreateJob method.reinforcement.grader.model",  # asked while training, by the same ``RoutedJudge``
    "CreateJob method.reinforcement.grader.graders.model",
}


def written(node: Any, ids: dict[str, dict[str, str]]) -> Any:
    text = json.dumps(node)
    for whose, names in ids.items():
        for name, id in names.items():
            text = text.replace(f"{{{whose}.{name}}}", id)
    return json.loads(text)


@pytest.mark.parametrize(
    ("path", "body", "told"), [pytest.param(*case[2:], id=f"{case[0]} {case[1]}") for case in BODIES]
)
def test_a_foreign_id_in_a_body_is_refused(scene, path, body, told):
    path, body = written(path, scene.ids), written(body, scene.ids)

    response = scene.ask("POST", path, json=body)

    assert response.status_code == told, response.text


def named_objects(model: type[BaseModel]) -> Iterator[str]:
    """Paths of the model's fields whose names say that they hold an id or a model's name."""
    yield from _named(model, "", ())


def _named(annotation: Any, at: str, above: tuple[Any, ...]) -> Iterator[str]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if annotation in above:
            return
        for name, field in annotation.model_fields.items():
            place = f"{at}.{name}" if at else name
            if re.fullmatch(r"model|.*_file|.*_ids?|ids?", name) and not _holds_model(field.annotation):
                yield place
            yield from _named(field.annotation, place, (*above, annotation))
        return
    for part in get_args(annotation):
        yield from _named(part, at, above)


def _holds_model(annotation: Any) -> bool:
    parts = [annotation, *get_args(annotation)]
    return any(isinstance(part, type) and issubclass(part, BaseModel) for part in parts)


def test_every_place_for_an_id_in_a_body_is_on_the_list():
    models = {p.field_info.annotation for r in served() for p in r.dependant.body_params}
    models = {m for union in models for m in (union, *get_args(union)) if isinstance(m, type)}
    places = {
        f"{model.__name__} {field}"
        for model in models
        if issubclass(model, BaseModel)
        for field in named_objects(model)
    }

    assert places - {f"{case[0]} {case[1]}" for case in BODIES} - ELSEWHERE == set()


def test_every_route_of_the_server_is_on_the_list():
    here = {(method, route.path.replace(":path", "")) for route in served() for method in route.methods}

    assert here == {(route.method, route.path) for route in ROUTES}


def test_threads_are_listed_for_administrators_only(scene):
    response = scene.ask("GET", "/threads")

    assert response.status_code == 403


def test_an_idempotency_key_is_its_projects(scene):
    made = [
        scene.ask("POST", "/assistants", key, json={"model": "scripted"}, headers={"Idempotency-Key": "same"}).json()
        for key in ("mine", "theirs")
    ]

    assert made[0]["id"] != made[1]["id"]


@pytest.mark.parametrize("grader", [JUDGE, LABELS], ids=lambda grader: grader["type"])
def test_a_grader_cannot_ask_a_foreign_model(scene, grader):
    body = written({"grader": grader, "model_sample": "x"}, scene.ids)

    response = scene.ask("POST", "/fine_tuning/alpha/graders/run", json=body)

    assert response.status_code == 200
    assert response.json()["metadata"]["errors"]["model_grader_server_error"], response.text


def test_a_foreign_step_is_not_found_under_ones_own_run(scene):
    mine, theirs = scene.ids["mine"], scene.ids["theirs"]
    path = f"/threads/{theirs['thread_id']}/runs/{theirs['run_id']}/steps"

    response = scene.ask("GET", f"{path}/{mine['step_id']}", headers={"OpenAI-Beta": "assistants=v2"})

    assert response.status_code == 404
