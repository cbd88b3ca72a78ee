"""/v1/assistants by the official SDK over a real socket."""

import openai
import pytest
from tests.assistants import assistants_server

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")  # OpenAI marked the SDK's calls so

WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


@pytest.fixture
def server(tmp_path):
    with assistants_server(tmp_path) as running:
        yield running


@pytest.fixture
def assistants(server):
    return server.client.beta.assistants


def test_what_was_created_is_retrieved_with_openais_defaults(assistants):
    made = assistants.create(model="gpt-4o-mini", name="Гид", instructions="Be kind.", tools=[WEATHER])

    found = assistants.retrieve(made.id)

    assert found == made
    assert made.id.startswith("asst_")
    assert (made.temperature, made.top_p, made.response_format, made.metadata) == (1.0, 1.0, "auto", {})
    assert made.tools[0].to_dict() == WEATHER


def test_temperature_zero_stays_zero(assistants):
    made = assistants.create(model="scripted", temperature=0, top_p=0)

    assert (made.temperature, made.top_p) == (0, 0)


def test_modify_changes_what_was_sent_and_nothing_else(assistants):
    made = assistants.create(model="scripted", name="old", instructions="keep", temperature=0.5, metadata={"a": "1"})

    changed = assistants.update(made.id, name="new", instructions="", temperature=None, metadata={"b": "2"})

    assert (changed.name, changed.instructions, changed.temperature) == ("new", "", 1.0)
    assert changed.metadata == {"b": "2"}
    assert (changed.model, changed.created_at) == ("scripted", made.created_at)


def test_lists_page_forwards_and_backwards(assistants):
    ids = [assistants.create(model="scripted", name=str(number)).id for number in range(5)]

    newest = assistants.list(limit=2)
    rest = assistants.list(limit=3, after=newest.last_id)
    before = assistants.list(limit=2, before=ids[0])

    assert [item.id for item in newest.data] == [ids[4], ids[3]]
    assert newest.has_more
    assert [item.id for item in rest.data] == [ids[2], ids[1], ids[0]]
    assert not rest.has_more
    assert [item.id for item in before.data] == [ids[2], ids[1]]
    assert [item.id for item in assistants.list(order="asc")] == ids


def test_a_deleted_assistant_is_gone(assistants):
    made = assistants.create(model="scripted")

    deleted = assistants.delete(made.id)

    assert deleted.deleted
    assert deleted.object == "assistant.deleted"
    with pytest.raises(openai.NotFoundError, match=f"No assistant found with id '{made.id}'"):
        assistants.retrieve(made.id)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"model": "scripted", "temperature": 3}, "temperature"),
        ({"model": "scripted", "colour": "red"}, "colour"),
        ({"model": ""}, "model"),
        ({"model": "scripted", "tools": [{"type": "telepathy"}]}, "telepathy"),
        ({"model": "scripted", "tools": [{"type": "function", "function": {"name": "no spaces"}}]}, "name"),
        ({"model": "scripted", "metadata": {"k": "v" * 513}}, "512"),
        ({"model": "scripted", "metadata": {str(n): "" for n in range(17)}}, "16"),
        ({"model": "scripted", "name": "n" * 257}, "256"),
        ({"model": "scripted", "instructions": "i" * 256_001}, "256000"),
        ({"model": "scripted", "tools": [WEATHER] * 129}, "128"),
    ],
    ids=str,
)
def test_a_wrong_field_is_named_in_a_400(server, wrong, text):
    with pytest.raises(openai.BadRequestError, match=text):
        server.client.post("/assistants", body=wrong, cast_to=object)


def test_the_beta_header_is_accepted_but_not_needed(server):
    plain = server.client.post("/assistants", body={"model": "scripted"}, cast_to=object)
    beta = server.client.post(
        "/assistants", body={"model": "scripted"}, cast_to=object, options={"headers": {"OpenAI-Beta": "assistants=v2"}}
    )

    assert plain["object"] == beta["object"] == "assistant"


def test_a_model_that_does_not_exist_is_refused_when_it_is_named(server, assistants):
    made = assistants.create(model="scripted")
    thread = server.client.beta.threads.create()
    attempts = [
        lambda: assistants.create(model="gpt-9"),
        lambda: assistants.update(made.id, model="gpt-9"),
        lambda: server.client.beta.threads.runs.create(thread.id, assistant_id=made.id, model="gpt-9"),
        lambda: server.client.beta.threads.create_and_run(assistant_id=made.id, model="gpt-9"),
    ]

    for attempt in attempts:
        with pytest.raises(openai.BadRequestError) as caught:
            attempt()

        assert caught.value.body == {
            "message": "The requested model 'gpt-9' does not exist.",
            "type": "invalid_request_error",
            "param": "model",
            "code": "model_not_found",
        }
    assert assistants.retrieve(made.id).model == "scripted"
    assert server.client.beta.threads.runs.list(thread.id).data == []


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ({"code_interpreter": {"file_ids": ["file-none"]}}, "No such File object: file-none"),
        ({"file_search": {"vector_store_ids": ["vs_none"]}}, "Vector store vs_none not found."),
    ],
    ids=["file", "vector store"],
)
def test_what_tool_resources_name_must_be_there(server, assistants, resources, message):
    made = assistants.create(model="scripted")
    threads = server.client.beta.threads
    thread = threads.create()
    attempts = [
        lambda: assistants.create(model="scripted", tool_resources=resources),
        lambda: assistants.update(made.id, tool_resources=resources),
        lambda: threads.create(tool_resources=resources),
        lambda: threads.update(thread.id, tool_resources=resources),
        lambda: threads.create_and_run(assistant_id=made.id, tool_resources=resources),
    ]

    for attempt in attempts:
        with pytest.raises(openai.NotFoundError) as caught:
            attempt()

        assert caught.value.body["message"] == message


def test_what_an_assistant_brought_along_may_stay(server, assistants):
    resources = {"file_search": {"vector_store_ids": ["vs_elsewhere"]}}
    made = assistants.create(model="scripted")
    with server.running.store.write() as tx:  # as an import leaves it
        tx.documents.change(tx.documents.get("assistant", made.id), {"tool_resources": resources})

    assert assistants.update(made.id, name="new", tool_resources=resources).name == "new"
