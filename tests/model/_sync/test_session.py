"""Connecting: lazily and eagerly, models, assistants, thread, the documented attributes."""

import json
from pathlib import Path

import openai
import pytest
from tests.model.fake_server import FakeServer

from hypotez import OpenAIModel
from hypotez.errors import InvalidRequest, NotFound, ServerError, SettingsError
from hypotez.settings import Settings
from hypotez.testing import Fail

pytestmark = pytest.mark.anyio


def opened(server, settings: Settings, **options) -> OpenAIModel:
    return OpenAIModel(base_url=server.base_url, settings=settings, **options)


def test_constructing_asks_nothing_and_writes_nothing(server: FakeServer, settings: Settings):
    model = opened(server, settings)

    assert model.model == "gpt-4o-mini"
    assert model.current_job_id is None
    assert model.dialogue == []
    assert server.requests == []
    assert not settings.home.exists()


def test_models_are_a_property_and_a_method(server: FakeServer, settings: Settings):
    with opened(server, settings) as model:
        assert model.list_models == ["gpt-4o-mini", "pocket"]
        assert model.list_models() == ["gpt-4o-mini", "pocket"]
        assert model.models_list == ["gpt-4o-mini", "pocket"]


def test_connect_loads_everything(server: FakeServer, settings: Settings):
    server.has_assistants = True
    model = OpenAIModel.connect(base_url=server.base_url, settings=settings)
    asked = len(server.requests)

    assert (model.thread).id == "thread_1"
    assert (model.assistant).name == "code_assistant"
    assert model.assistant_id == "asst_1"
    assert model.models_list == ["gpt-4o-mini", "pocket"]
    assert isinstance(model.client, openai.OpenAI)
    assert len(server.requests) == asked
    model.close()


def test_connect_closes_what_it_opened_when_it_fails(server: FakeServer, settings: Settings):
    with pytest.raises(openai.NotFoundError):  # this server has no assistants
        OpenAIModel.connect(base_url=server.base_url, settings=settings)


def test_the_default_assistant_is_created_once(settings: Settings, assistants):
    with opened(assistants, settings) as one, opened(assistants, settings) as two:
        assert one.assistant_id == two.assistant_id


def test_the_settings_assistant_is_used_where_the_server_has_it(settings: Settings, assistants):
    made = assistants.client.beta.assistants.create(model="scripted", name="mine")
    settings.credentials.openai.assistant_id.code_assistant = made.id
    with opened(assistants, settings) as model:
        assert (model.assistant).name == "mine"

    settings.credentials.openai.assistant_id.code_assistant = "asst_elsewhere"
    with opened(assistants, settings) as model:
        assert (model.assistant).name == "code_assistant"


def test_assistants_are_named_from_the_file_and_the_server_each_once(settings: Settings, assistants):
    settings.home.mkdir()
    settings.assistants_path.write_text('[{"name": "code_assistant"}, {"name": "Поэт", "temperature": 1}]', "utf-8")
    assistants.client.beta.assistants.create(model="scripted", name="Поэт")
    assistants.client.beta.assistants.create(model="scripted", name="other")
    with opened(assistants, settings) as model:
        assert model.list_assistants == ["code_assistant", "Поэт", "other"]
        assert model.list_assistants() == ["code_assistant", "Поэт", "other"]
        assert [entry.name for entry in model.assistants] == ["code_assistant", "Поэт"]
        assert model.assistants[1].temperature == 1


def test_a_first_assistants_file_is_written(server: FakeServer, settings: Settings):
    model = opened(server, settings)

    names = [entry.name for entry in model.assistants]

    assert names[0] == "code_assistant"
    assert [entry["name"] for entry in json.loads(settings.assistants_path.read_text("utf-8"))] == names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param('[\n {"name": "a",}\n]', "line 2, column 15: ", id="comma"),
        pytest.param("3", "line 1, column 1: a list of assistants is needed.", id="number"),
        pytest.param('[{"id": "x"}]', "assistant 1 has no name", id="no name"),
        pytest.param(b"[\xff]", "is not UTF-8", id="encoding"),
    ],
)
def test_a_broken_assistants_file_is_named_with_line_and_column(
    server: FakeServer, settings: Settings, text: str | bytes, expected: str
):
    settings.home.mkdir()
    settings.assistants_path.write_bytes(text if isinstance(text, bytes) else text.encode())

    with pytest.raises(SettingsError) as caught:
        opened(server, settings).assistants

    assert str(settings.assistants_path) in str(caught.value)
    assert expected in str(caught.value)


def test_an_address_that_is_none_is_refused_in_our_words(settings: Settings):
    model = OpenAIModel(base_url="localhost:8000", settings=settings)

    with pytest.raises(InvalidRequest, match=r"'localhost:8000' is no address.*http://127\.0\.0\.1:8000/v1"):
        model.client


def test_an_unknown_assistant_leaves_the_current_one(settings: Settings, assistants):
    made = assistants.client.beta.assistants.create(model="scripted", name="mine")
    with opened(assistants, settings) as model:
        model.set_assistant(made.id)
        for wrong in ("asst_unknown", ""):
            with pytest.raises(NotFound):
                model.set_assistant(wrong)

        assert model.assistant_id == made.id
        assert (model.assistant).name == "mine"


def test_run_goes_through_assistant_and_thread_and_is_logged(settings: Settings, assistants):
    assistants.replies.extend(["Paris.", "Of course."])
    made = assistants.client.beta.assistants.create(model="scripted", name="mine")
    with opened(assistants, settings, assistant_id=made.id) as model:
        assert model.run("Capital of France?") == "Paris."
        assert model.run("Sure?") == "Of course."

        messages = assistants.client.beta.threads.messages.list((model.thread).id, order="asc").data
        assert [m.content[0].text.value for m in messages] == [
            "Capital of France?",
            "Paris.",
            "Sure?",
            "Of course.",
        ]
    assert [(e["role"], e["content"]) for e in model.dialogue[:2]] == [
        ("user", "Capital of France?"),
        ("assistant", "Paris."),
    ]
    assert model.dialogue[1]["sentiment"]
    assert model.dialogue[1]["model"] == "scripted"


def test_a_run_that_fails_says_why(settings: Settings, assistants):
    assistants.replies.append(Fail(InvalidRequest("no such luck")))
    made = assistants.client.beta.assistants.create(model="scripted")
    failure = pytest.raises(ServerError, match=r"gave no reply: .*no such luck")
    with opened(assistants, settings, assistant_id=made.id) as model, failure:
        model.run("hello")


def test_a_dialogue_can_be_taken_up_again(server: FakeServer, settings: Settings, tmp_path: Path):
    path = tmp_path / "talk.json"
    with opened(server, settings, dialogue_log_path=path) as model:
        model.ask("first")
    with opened(server, settings, dialogue_log_path=path) as model:
        model.ask("second", history=True)

        assert [e["content"] for e in model.dialogue if e["role"] == "user"] == ["first", "second"]
        assert len(server.chats()[1]["messages"]) == 3
        assert json.loads(path.read_text("utf-8")) == model.dialogue


def test_a_given_client_is_used_and_left_open(server: FakeServer, settings: Settings):
    client = openai.OpenAI(base_url=server.base_url, api_key="k")
    with OpenAIModel(client=client, settings=settings) as model:
        model.ask("hello")
    model.close()

    assert len(list(client.models.list())) == 2
    client.close()


@pytest.mark.parametrize(
    ("given", "environment", "sent"),
    [
        pytest.param("mine", {}, "Bearer mine", id="argument"),
        pytest.param(None, {"HYPOTEZ_API_KEY": "ours"}, "Bearer ours", id="settings"),
        pytest.param(None, {"OPENAI_API_KEY": "theirs"}, "Bearer theirs", id="openai's variable"),
        pytest.param(None, {}, "Bearer none", id="no key"),
    ],
)
def test_the_key_that_is_sent_to_a_given_server(
    server: FakeServer,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    given: str | None,
    environment: dict[str, str],
    sent: str,
):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with OpenAIModel(base_url=server.base_url, api_key=given, settings=Settings.load(home=settings.home)) as model:
        model.list_models()

    headers = {name.lower(): value for name, value in server.requests[0].headers.items()}
    assert headers["authorization"] == sent


def test_an_unknown_way_of_treating_errors_is_refused():
    with pytest.raises(InvalidRequest, match="on_error must be 'raise' or 'none', not 'ignore'"):
        OpenAIModel(on_error="ignore")
