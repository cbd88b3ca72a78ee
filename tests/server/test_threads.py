"""/v1/threads by the official SDK over a real socket."""

import openai
import pytest
from tests.assistants import assistants_server

from hypotez.server.auth import create_key

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")  # OpenAI marked the SDK's calls so


@pytest.fixture
def server(tmp_path):
    with assistants_server(tmp_path) as running:
        yield running


@pytest.fixture
def threads(server):
    return server.client.beta.threads


def test_a_thread_begins_with_the_messages_it_was_given(threads):
    made = threads.create(
        messages=[{"role": "user", "content": "Привет"}, {"role": "assistant", "content": "Здравствуйте"}],
        metadata={"user": "7"},
    )

    said = [(m.role, m.content[0].text.value) for m in threads.messages.list(made.id, order="asc")]

    assert threads.retrieve(made.id) == made
    assert made.metadata == {"user": "7"}
    assert said == [("user", "Привет"), ("assistant", "Здравствуйте")]


def test_a_thread_needs_no_body_at_all(server):
    made = server.client.post("/threads", cast_to=object)

    assert made["object"] == "thread"


def test_modify_replaces_metadata_and_null_empties_it(threads):
    made = threads.create(metadata={"a": "1"})

    changed = threads.update(made.id, metadata={"b": "2"})
    emptied = threads.update(made.id, metadata=None)

    assert changed.metadata == {"b": "2"}
    assert emptied.metadata == {}


def test_deleting_a_thread_deletes_all_that_was_in_it(server, threads):
    assistant = server.client.beta.assistants.create(model="scripted")
    made = threads.create(messages=[{"role": "user", "content": "hi"}])
    run = threads.runs.create_and_poll(thread_id=made.id, assistant_id=assistant.id)

    deleted = threads.delete(made.id)

    assert (deleted.deleted, deleted.object) == (True, "thread.deleted")
    with pytest.raises(openai.NotFoundError, match=f"No thread found with id '{made.id}'"):
        threads.retrieve(made.id)
    with server.running.store.read() as tx:
        assert not tx.documents.page("thread.message").items + tx.documents.page("thread.run.step").items
        assert tx.events.after(run.id) == []


def test_threads_are_listed_for_an_administrator_only(server):
    admin, _ = create_key(server.running.store, "root", admin=True)
    plain, _ = create_key(server.running.store, "app")
    made = server.client_for(plain).beta.threads.create()

    listed = server.client_for(admin).get("/threads", cast_to=object)

    assert [thread["id"] for thread in listed["data"]] == [made.id]
    with pytest.raises(openai.PermissionDeniedError, match="administrator"):
        server.client_for(plain).get("/threads", cast_to=object)
