"""Asking, over a real socket: replies, dialogue, history, streams, retries."""

import json
import time

import openai
import pytest
from tests.model.fake_server import Broken, FakeServer, Status

from hypotez import AsyncOpenAIModel
from hypotez.errors import InvalidRequest, StorageError
from hypotez.settings import Settings

pytestmark = pytest.mark.anyio


def opened(server: FakeServer, settings: Settings, **options) -> AsyncOpenAIModel:
    return AsyncOpenAIModel(base_url=server.base_url, settings=settings, **options)


async def test_a_reply_is_returned_scored_remembered_and_saved(server: FakeServer, settings: Settings):
    server.replies.append("Отлично, спасибо!")
    model = opened(server, settings, system_instruction="Be brief.")

    reply = await model.ask('He said "hi"\n\tand left \\ Привет')

    assert reply == "Отлично, спасибо!"
    assert server.chats()[0]["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": 'He said "hi"\n\tand left \\ Привет'},
    ]
    assert [entry["role"] for entry in model.dialogue] == ["system", "user", "assistant"]
    answer = model.dialogue[-1]
    assert answer["sentiment"] in ("positive", "negative", "neutral")
    assert answer["model"] == "gpt-4o-mini"
    assert answer["usage"] == {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
    assert json.loads(model.dialogue_log_path.read_text("utf-8")) == model.dialogue
    assert model.dialogue_log_path.parent == settings.home / "AI"
    await model.aclose()


async def test_a_system_instruction_of_none_an_empty_one_and_another(server: FakeServer, settings: Settings):
    async with opened(server, settings, system_instruction="default") as model:
        await model.ask("a")
        await model.ask("b", "")
        await model.ask("c", "other")

    systems = [[m["content"] for m in chat["messages"] if m["role"] == "system"] for chat in server.chats()]
    assert systems == [["default"], [], ["other"]]


async def test_dialogues_of_two_instances_are_their_own(server: FakeServer, settings: Settings):
    async with opened(server, settings) as one, opened(server, settings) as two:
        await one.ask("a")

        assert two.dialogue == []
        assert one.dialogue_log_path != two.dialogue_log_path


async def test_history_sends_what_was_said(server: FakeServer, settings: Settings):
    server.replies.extend(["one", "two", "three"])
    async with opened(server, settings) as model:
        await model.ask("first")
        await model.ask("second", history=True)
        await model.ask("third")

    sent = [[m["content"] for m in chat["messages"]] for chat in server.chats()]
    assert sent == [["first"], ["first", "one", "second"], ["third"]]
    assert model.dialogue[3]["history"] == 2


async def test_history_is_cut_to_the_context_window_by_whole_exchanges(server: FakeServer, settings: Settings):
    server.context_window = 200
    async with opened(server, settings) as model:
        for i in range(6):
            await model.ask(f"{i} " + "word " * 30)
        await model.ask("now", history=True)

    sent = server.chats()[-1]["messages"]
    assert [m["role"] for m in sent] == ["user", "assistant", "user"]
    assert sent[0]["content"].startswith("5 ")


async def test_a_history_that_is_too_long_after_all_is_halved_until_it_fits(server: FakeServer, settings: Settings):
    async with opened(server, settings) as model:
        for i in range(4):
            await model.ask(f"question {i}")
        server.replies.extend([Status(400, "context_length_exceeded"), Status(400, "context_length_exceeded"), "fits"])
        assert await model.ask("now", history=True) == "fits"

    assert [len(chat["messages"]) for chat in server.chats()[-3:]] == [9, 3, 1]


async def test_a_stream_gives_pieces_and_is_logged_at_its_end(server: FakeServer, settings: Settings):
    server.replies.append("one two three")
    async with opened(server, settings) as model:
        pieces = [piece async for piece in await model.ask("count", stream=True)]

    assert pieces == ["one", " two", " three"]
    assert model.dialogue[-1]["content"] == "one two three"
    assert model.dialogue[-1]["usage"]["total_tokens"] == 8
    assert "partial" not in model.dialogue[-1]


async def test_a_stream_that_is_left_early_is_logged_as_far_as_it_came(server: FakeServer, settings: Settings):
    server.replies.append("one two three")
    async with opened(server, settings) as model:
        stream = await model.ask("count", stream=True)
        async for _ in stream:
            break
        await stream.aclose()

        assert model.dialogue[-1] | {"time": ""} == {
            "role": "assistant",
            "content": "one",
            "sentiment": "neutral",
            "time": "",
            "model": "gpt-4o-mini",
            "partial": True,
        }
        assert json.loads(model.dialogue_log_path.read_text("utf-8")) == model.dialogue


async def test_a_stream_that_breaks_raises_and_keeps_what_came(server: FakeServer, settings: Settings):
    server.replies.append(Broken("one two"))
    async with opened(server, settings) as model:
        pieces = []
        with pytest.raises(Exception, match=r"peer closed|[Cc]onnection|incomplete"):
            async for piece in await model.ask("count", stream=True):
                pieces.append(piece)

        assert pieces == ["one", " two"]
        assert model.dialogue[-1]["content"] == "one two"
        assert model.dialogue[-1]["partial"] is True


async def test_on_token_is_called_with_each_piece(server: FakeServer, settings: Settings):
    server.replies.append("one two")
    seen = []
    async with opened(server, settings) as model:
        reply = await model.ask("count", on_token=seen.append)

    assert seen == ["one", " two"]
    assert reply == "one two"
    assert len(model.dialogue) == 2


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 529])
async def test_a_passing_failure_is_tried_again(server: FakeServer, settings: Settings, status: int):
    server.replies.extend([Status(status, headers={"retry-after-ms": "1"}), "there"])
    async with opened(server, settings, system_instruction="kept") as model:
        assert await model.ask("hello") == "there"

    assert [chat["messages"][0]["content"] for chat in server.chats()] == ["kept", "kept"]
    assert len(model.dialogue) == 3


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(Status(400), openai.BadRequestError, id="bad request"),
        pytest.param(Status(401), openai.AuthenticationError, id="wrong key"),
        pytest.param(Status(403), openai.PermissionDeniedError, id="forbidden"),
        pytest.param(Status(404, "model_not_found"), openai.NotFoundError, id="unknown model"),
        pytest.param(Status(422), openai.UnprocessableEntityError, id="unprocessable"),
        pytest.param(Status(429, "insufficient_quota"), openai.RateLimitError, id="no money"),
        pytest.param(Status(500, headers={"x-should-retry": "false"}), openai.InternalServerError, id="told not to"),
        pytest.param(Status(429, headers={"retry-after": "600"}), openai.RateLimitError, id="too long a wait"),
    ],
)
async def test_a_final_failure_passes_through_at_once(
    server: FakeServer, settings: Settings, fault: Status, error: type[Exception]
):
    server.replies.append(fault)
    async with opened(server, settings) as model:
        with pytest.raises(error):
            await model.ask("hello")

    assert len(server.chats()) == 1
    assert model.dialogue == []


async def test_attempts_count_requests_and_are_not_multiplied_by_the_sdk(server: FakeServer, settings: Settings):
    server.replies.extend(Status(500, headers={"retry-after-ms": "1"}) for _ in range(9))
    async with opened(server, settings) as model:
        with pytest.raises(openai.InternalServerError):
            await model.ask("hello", attempts=4)

    assert len(server.chats()) == 4


async def test_retry_after_is_obeyed(server: FakeServer, settings: Settings):
    server.replies.extend([Status(429, headers={"retry-after": "0.4"}), "there"])
    async with opened(server, settings) as model:
        begun = time.monotonic()
        await model.ask("hello")

    assert time.monotonic() - begun >= 0.4


async def test_a_server_that_is_not_there_is_the_sdk_s_error(settings: Settings):
    model = AsyncOpenAIModel(base_url="http://127.0.0.1:9/v1", settings=settings)

    with pytest.raises(openai.APIConnectionError):
        await model.ask("hello", attempts=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param({"message": ""}, "The message is empty.", id="empty"),
        pytest.param({"message": " \n"}, "The message is empty.", id="blank"),
        pytest.param({"message": None}, "The message must be text, not NoneType.", id="none"),
        pytest.param({"message": "a", "attempts": 0}, "attempts must be at least 1, not 0.", id="attempts"),
    ],
)
async def test_a_wrong_question_is_refused_before_anything_is_sent(
    server: FakeServer, settings: Settings, arguments: dict, message: str
):
    with pytest.raises(InvalidRequest) as caught:
        await opened(server, settings).ask(**arguments)

    assert str(caught.value) == message
    assert server.requests == []


async def test_options_go_into_the_request(server: FakeServer, settings: Settings):
    async with opened(server, settings) as model:
        await model.ask("hello", temperature=0, seed=7, max_tokens=5)

    assert server.chats()[0] | {"messages": []} == {
        "model": "gpt-4o-mini",
        "messages": [],
        "temperature": 0,
        "seed": 7,
        "max_tokens": 5,
    }


async def test_on_error_none_logs_and_returns_none(
    server: FakeServer, settings: Settings, caplog: pytest.LogCaptureFixture
):
    server.key = "right"
    async with opened(server, settings, on_error="none") as model:
        assert await model.ask("hello") is None
        assert await model.list_models() == []
        assert await model.train("nowhere.csv") is None
        assert [piece async for piece in await model.ask("hello", stream=True)] == []

    assert "Incorrect API key provided: wrong." in caplog.text
    assert "There is no file nowhere.csv" in caplog.text


async def test_an_answer_is_kept_in_memory_when_the_disk_is_full(server: FakeServer, settings: Settings):
    blocked = settings.home / "AI"
    settings.home.mkdir()
    blocked.write_text("a file where the folder should be")
    async with opened(server, settings) as model:
        with pytest.raises(StorageError, match="cannot be created"):
            await model.ask("hello")
        blocked.unlink()
        await model.ask("again")

    assert [entry["content"] for entry in model.dialogue if entry["role"] == "user"] == ["hello", "again"]
    assert json.loads(model.dialogue_log_path.read_text("utf-8")) == model.dialogue
