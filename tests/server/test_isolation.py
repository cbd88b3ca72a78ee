"""One project's key never sees another's objects: every operation, tried with a foreign id, is a 404."""

import httpx2
import pytest
from tests.assistants import ROUTERS, assistants_server
from tests.server.routes import ROUTES, fill

from hypotez.server.auth import create_key
from hypotez.testing import ScriptedBackend, ToolCall

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")  # OpenAI marked the SDK's calls so

WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """Objects of project "a", among them a run that waits for outputs, and a key of project "b"."""
    with assistants_server(tmp_path_factory.mktemp("home"), ScriptedBackend([ToolCall("weather", {}, "c")])) as server:
        mine, _ = create_key(server.running.store, "mine", project="a")
        theirs, _ = create_key(server.running.store, "theirs", project="b")
        beta = server.client_for(mine).beta
        assistant = beta.assistants.create(model="scripted", tools=[WEATHER])
        thread = beta.threads.create(messages=[{"role": "user", "content": "hi"}])
        run = beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
        ids = {
            "assistant_id": assistant.id,
            "thread_id": thread.id,
            "run_id": run.id,
            "message_id": beta.threads.messages.list(thread.id).data[0].id,
            "step_id": beta.threads.runs.steps.list(run.id, thread_id=thread.id).data[0].id,
        }
        yield server, ids, theirs


FOREIGN = [route for route in ROUTES if "{" in route.path or "assistant_id" in route.body]


@pytest.mark.parametrize("route", FOREIGN, ids=str)
def test_a_foreign_id_is_not_found(scene, route):
    server, ids, theirs = scene
    path, body = fill(route, ids)

    response = httpx2.request(
        route.method, f"{server.base_url}{path}", json=body, headers={"Authorization": f"Bearer {theirs}"}
    )

    assert response.status_code == 404, response.text
    assert response.json()["error"]["message"].startswith("No ")


@pytest.mark.parametrize("path", ["/assistants"], ids=str)
def test_a_list_holds_nothing_foreign(scene, path):
    server, _, theirs = scene

    response = httpx2.get(f"{server.base_url}{path}", headers={"Authorization": f"Bearer {theirs}"})

    assert response.json()["data"] == []


def test_a_foreign_cursor_is_refused(scene):
    server, ids, theirs = scene

    response = httpx2.get(
        f"{server.base_url}/assistants",
        params={"after": ids["assistant_id"]},
        headers={"Authorization": f"Bearer {theirs}"},
    )

    assert response.status_code == 400


def test_every_route_of_the_server_is_on_the_list(scene):
    served = {(method, r.path) for router in ROUTERS for r in router.routes for method in r.methods}

    assert served == {(route.method, route.path) for route in ROUTES}
