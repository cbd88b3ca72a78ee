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
    made = assistants.create(model="m", temperature=0, top_p=0)

    assert (made.temperature, made.top_p) == (0, 0)


def test_modify_changes_what_was_sent_and_nothing_else(assistants):
    made = assistants.create(model="m", name="old", instructions="keep", temperature=0.5, metadata={"a": "1"})

    changed = assistants.update(made.id, name="new", instructions="", temperature=None, metadata={"b": "2"})

    assert (changed.name, changed.instructions, changed.temperature) == ("new", "", 1.0)
    assert changed.metadata == {"b": "2"}
    assert (changed.model, changed.created_at) == ("m", made.created_at)


def test_lists_page_forwards_and_backwards(assistants):
    ids = [assistants.create(model="m", name=str(number)).id for number in range(5)]

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
    made = assistants.create(model="m")

    deleted = assistants.delete(made.id)

    assert deleted.deleted
    assert deleted.object == "assistant.deleted"
    with pytest.raises(openai.NotFoundError, match=f"No assistant found with id '{made.id}'"):
        assistants.retrieve(made.id)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"model": "m", "temperature": 3}, "temperature"),
        ({"model": "m", "colour": "red"}, "colour"),
        ({"model": ""}, "model"),
        ({"model": "m", "tools": [{"type": "telepathy"}]}, "telepathy"),
        ({"model": "m", "tools": [{"type": "function", "function": {"name": "no spaces"}}]}, "name"),
        ({"model": "m", "metadata": {"k": "v" * 513}}, "512"),
        ({"model": "m", "metadata": {str(n): "" for n in range(17)}}, "16"),
        ({"model": "m", "name": "n" * 257}, "256"),
        ({"model": "m", "instructions": "i" * 256_001}, "256000"),
        ({"model": "m", "tools": [WEATHER] * 129}, "128"),
    ],
    ids=str,
)
def test_a_wrong_field_is_named_in_a_400(server, wrong, text):
    with pytest.raises(openai.BadRequestError, match=text):
        server.client.post("/assistants", body=wrong, cast_to=object)


def test_the_beta_header_is_accepted_but_not_needed(server):
    plain = server.client.post("/assistants", body={"model": "m"}, cast_to=object)
    beta = server.client.post(
        "/assistants", body={"model": "m"}, cast_to=object, options={"headers": {"OpenAI-Beta": "assistants=v2"}}
    )

    assert plain["object"] == beta["object"] == "assistant"
