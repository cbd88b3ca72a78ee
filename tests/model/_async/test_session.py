"""Connecting: lazily and eagerly, models, assistants, thread, the documented attributes."""

import json
from pathlib import Path

import openai
import pytest
from tests.model.fake_server import FakeServer

from hypotez import AsyncOpenAIModel
from hypotez.errors import InvalidRequest, NotFound, ServerError, SettingsError
from hypotez.settings import Settings
from hypotez.testing import Fail

pytestmark = pytest.mark.anyio


def opened(server, settings: Settings, **options) -> AsyncOpenAIModel:
    return AsyncOpenAIModel(base_url=server.base_url, settings=settings, **options)


async def test_constructing_asks_nothing_and_writes_nothing(server: FakeServer, settings: Settings):
    model = opened(server, settings)

    assert model.model == "gpt-4o-mini"
    assert model.current_job_id is None
    assert model.dialogue == []
    assert server.requests == []
    assert not settings.home.exists()


async def test_models_are_a_property_and_a_method(server: FakeServer, settings: Settings):
    async with opened(server, settings) as model:
        assert await model.list_models == ["gpt-4o-mini", "pocket"]
        assert await model.list_models() == ["gpt-4o-mini", "pocket"]
        assert await model.models_list == ["gpt-4o-mini", "pocket"]


async def test_connect_loads_everything(server: FakeServer, settings: Settings):
    server.has_assistants = True
    model = await AsyncOpenAIModel.connect(base_url=server.base_url, settings=settings)
    asked = len(server.requests)

    assert (await model.thread).id == "thread_1"
    assert (await model.assistant).name == "code_assistant"
    assert await model.assistant_id == "asst_1"
    assert await model.models_list == ["gpt-4o-mini", "pocket"]
    assert isinstance(await model.client, openai.AsyncOpenAI)
    assert len(server.requests) == asked
    await model.aclose()


async def test_connect_closes_what_it_opened_when_it_fails(server: FakeServer, settings: Settings):
    with pytest.raises(openai.NotFoundError):  # this server has no assistants
        await AsyncOpenAIModel.connect(base_url=server.base_url, settings=settings)


async def test_the_default_assistant_is_created_once(settings: Settings, assistants):
    async with opened(assistants, settings) as one, opened(assistants, settings) as two:
        assert await one.assistant_id == await two.assistant_id


async def test_the_settings_assistant_is_used_where_the_server_has_it(settings: Settings, assistants):
    made = assistants.client.beta.assistants.create(model="scripted", name="mine")
    settings.credentials.openai.assistant_id.code_assistant = made.id
    async with opened(assistants, settings) as model:
        assert (await model.assistant).name == "mine"

    settings.credentials.openai.assistant_id.code_assistant = "asst_elsewhere"
    async with opened(assistants, settings) as model:
        assert (await model.assistant).name == "code_assistant"


async def test_assistants_are_named_from_the_file_and_the_server_each_once(settings: Settings, assistants):
    settings.home.mkdir()
    settings.assistants_path.write_text('[{"name": "code_assistant"}, {"name": "Поэт", "temperature": 1}]', "utf-8")
    assistants.client.beta.assistants.create(model="scripted", name="Поэт")
    assistants.client.beta.assistants.create(model="scripted", name="other")
    async with opened(assistants, settings) as model:
        assert await model.list_assistants == ["code_assistant", "Поэт", "other"]
        assert await model.list_assistants() == ["code_assistant", "Поэт", "other"]
        assert [entry.name for entry in model.assistants] == ["code_assistant", "Поэт"]
        assert model.assistants[1].temperature == 1


async def test_a_first_assistants_file_is_written(server: FakeServer, settings: Settings):
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
async def test_a_broken_assistants_file_is_named_with_line_and_column(
    server: FakeServer, settings: Settings, text: str | bytes, expected: str
):
    settings.home.mkdir()
    settings.assistants_path.write_bytes(text if isinstance(text, bytes) else text.encode())

    with pytest.raises(SettingsError) as caught:
        opened(server, settings).assistants

    assert str(settings.assistants_path) in str(caught.value)
    assert expected in str(caught.value)


async def test_an_address_that_is_none_is_refused_in_our_words(settings: Settings):
    model = AsyncOpenAIModel(base_url="localhost:8000", settings=settings)

    with pytest.raises(InvalidRequest, match=r"'localhost:8000' is no address.*http://127\.0\.0\.1:8000/v1"):
        await model.client


async def test_an_unknown_assistant_leaves_the_current_one(settings: Settings, assistants):
    made = assistants.client.beta.assistants.create(model="scripted", name="mine")
    async with opened(assistants, settings) as model:
        await model.set_assistant(made.id)
        for wrong in ("asst_unknown", ""):
            with pytest.raises(NotFound):
                await model.set_assistant(wrong)

        assert await model.assistant_id == made.id
        assert (await model.assistant).name == "mine"


async def test_run_goes_through_assistant_and_thread_and_is_logged(settings: Settings, assistants):
    assistants.replies.extend(["Paris.", "Of course."])
    made = assistants.client.beta.assistants.create(model="scripted", name="mine")
    async with opened(assistants, settings, assistant_id=made.id) as model:
        assert await model.run("Capital of France?") == "Paris."
        assert await model.run("Sure?") == "Of course."

        messages = assistants.client.beta.threads.messages.list((await model.thread).id, order="asc").data
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


async def test_a_run_that_fails_says_why(settings: Settings, assistants):
    assistants.replies.append(Fail(InvalidRequest("no such luck")))
    made = assistants.client.beta.assistants.create(model="scripted")
    failure = pytest.raises(ServerError, match=r"gave no reply: .*no such luck")
    async with opened(assistants, settings, assistant_id=made.id) as model:
        with failure:
            await model.run("hello")


async def test_a_dialogue_can_be_taken_up_again(server: FakeServer, settings: Settings, tmp_path: Path):
    path = tmp_path / "talk.json"
    async with opened(server, settings, dialogue_log_path=path) as model:
        await model.ask("first")
    async with opened(server, settings, dialogue_log_path=path) as model:
        await model.ask("second", history=True)

        assert [e["content"] for e in model.dialogue if e["role"] == "user"] == ["first", "second"]
        assert len(server.chats()[1]["messages"]) == 3
        assert json.loads(path.read_text("utf-8")) == model.dialogue


async def test_a_given_client_is_used_and_left_open(server: FakeServer, settings: Settings):
    client = openai.AsyncOpenAI(base_url=server.base_url, api_key="k")
    async with AsyncOpenAIModel(client=client, settings=settings) as model:
        await model.ask("hello")
    await model.aclose()

    assert len([each async for each in client.models.list()]) == 2
    await client.close()


@pytest.mark.parametrize(
    ("given", "environment", "sent"),
    [
        pytest.param("mine", {}, "Bearer mine", id="argument"),
        pytest.param(None, {"HYPOTEZ_API_KEY": "ours"}, "Bearer ours", id="settings"),
        pytest.param(None, {"OPENAI_API_KEY": "theirs"}, "Bearer theirs", id="openai's variable"),
        pytest.param(None, {}, "Bearer none", id="no key"),
    ],
)
async def test_the_key_that_is_sent_to_a_given_server(
    server: FakeServer,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    given: str | None,
    environment: dict[str, str],
    sent: str,
):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    async with AsyncOpenAIModel(
        base_url=server.base_url, api_key=given, settings=Settings.load(home=settings.home)
    ) as model:
        await model.list_models()

    headers = {name.lower(): value for name, value in server.requests[0].headers.items()}
    assert headers["authorization"] == sent


async def test_an_unknown_way_of_treating_errors_is_refused():
    with pytest.raises(InvalidRequest, match="on_error must be 'raise' or 'none', not 'ignore'"):
        AsyncOpenAIModel(on_error="ignore")
