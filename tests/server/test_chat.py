"""Chat completions with the official SDK over a real socket."""

import json
import threading
import time

import httpx2
import openai
import pytest
from tests.serving import serve_for_test
from tests.spec import conforms

from hypotez.errors import Overloaded, ServerError
from hypotez.server import chat
from hypotez.testing import Fail, ScriptedBackend, Slow, ToolCall
from hypotez.worker.routing import Served

HELLO = [{"role": "user", "content": "hello there"}]
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


@pytest.fixture
def ask(tmp_path):
    """A server per script: ``ask(script, **request)`` is the SDK's call."""
    opened = []

    def call(script=(), **request):
        backend = script if isinstance(script, ScriptedBackend) else ScriptedBackend(script)
        context = serve_for_test(tmp_path, backend, routers=[chat.router])
        opened.append(context)
        server = context.__enter__()
        return server.client.chat.completions.create(**{"model": "scripted", "messages": HELLO, **request})

    yield call
    for context in opened:
        context.__exit__(None, None, None)


def test_a_plain_answer(ask):
    completion = ask(["Paris is the capital."])

    assert completion.choices[0].message.content == "Paris is the capital."
    assert (completion.choices[0].finish_reason, completion.model) == ("stop", "scripted")
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens
    conforms("CreateChatCompletionResponse", completion)


def test_several_choices_keep_their_places(ask):
    completion = ask(["same"], n=3)

    assert [choice.index for choice in completion.choices] == [0, 1, 2]


def test_a_stream_says_the_same_and_ends_with_its_usage_when_asked(ask):
    chunks = list(ask(["Paris is the capital."], stream=True, stream_options={"include_usage": True}))

    assert "".join(c.choices[0].delta.content or "" for c in chunks[:-1]) == "Paris is the capital."
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens > 0
    assert {chunk.id for chunk in chunks} == {chunks[0].id}
    assert all(chunk.usage is None for chunk in chunks[:-1])
    [conforms("CreateChatCompletionStreamResponse", chunk) for chunk in chunks]


class AtOnce(ScriptedBackend):
    """Says everything in one chunk."""

    async def chat(self, body):
        chunks = [chunk async for chunk in super().chat(body)]
        yield {"choices": [choice for chunk in chunks for choice in chunk["choices"]]}
        yield chunks[-1]


def test_pieces_that_come_together_are_events_of_their_own(ask):
    chunks = list(ask(AtOnce(["Paris is it."]), stream=True))

    assert [len(chunk.choices) for chunk in chunks] == [1] * len(chunks)
    assert [c.choices[0].delta.content for c in chunks if c.choices[0].delta.content] == ["Paris ", "is ", "it."]
    assert ask(AtOnce(["Paris is it."])).choices[0].message.content == "Paris is it."


def test_usage_is_not_streamed_unasked(ask):
    assert all(chunk.choices for chunk in ask(["a b"], stream=True))


def test_tool_calls_plain_and_streamed(ask):
    backend = ScriptedBackend(lambda body: ToolCall("weather", {"city": "Oslo"}))

    plain = ask(backend, tools=[WEATHER]).choices[0]

    assert plain.finish_reason == "tool_calls"
    assert plain.message.content is None
    assert json.loads(plain.message.tool_calls[0].function.arguments) == {"city": "Oslo"}


def test_the_backend_gets_what_was_sent_and_nothing_more(ask):
    backend = ScriptedBackend(["ok"])

    ask(backend, temperature=0, stop=None, extra_body={"top_k": 5})

    assert backend.requests == [{"model": "scripted", "messages": HELLO, "temperature": 0, "stop": None, "top_k": 5}]


def test_gpt_4o_mini_falls_to_the_default_model_and_the_header_says_so(tmp_path):
    with serve_for_test(tmp_path, ScriptedBackend(["ok"]), routers=[chat.router]) as server:
        raw = server.client.chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=HELLO)

    assert raw.headers["x-hypotez-model"] == "scripted"
    assert raw.headers["x-request-id"].startswith("req_")


def test_an_alias_comes_before_an_upstream(tmp_path):
    other = ScriptedBackend(["from elsewhere"] * 2, models=["gpt-5"])
    served = [Served(other, ["gpt-*"])]
    with serve_for_test(
        tmp_path,
        ScriptedBackend(["here"]),
        routers=[chat.router],
        upstreams=served,
        aliases={"gpt-4o-mini": "scripted"},
    ) as server:
        create = server.client.chat.completions.create
        here = create(model="gpt-4o-mini", messages=HELLO).choices[0].message.content
        there = create(model="gpt-5", messages=HELLO).choices[0].message.content

    assert (here, there) == ("here", "from elsewhere")


def test_an_unknown_model_is_openais_404(ask):
    with pytest.raises(openai.NotFoundError) as caught:
        ask(model="gpt-9")

    assert caught.value.code == "model_not_found"
    assert caught.value.body["message"] == "The model `gpt-9` does not exist or you do not have access to it."


@pytest.mark.parametrize(
    ("request_", "param", "text"),
    [
        ({"temperature": 3}, "temperature", "Expected a value <= 2, but got 3 instead."),
        ({"n": 0}, "n", "Expected a value >= 1, but got 0 instead."),
        ({"messages": []}, "messages", "Expected an array with minimum length 1"),
        ({"messages": [{"content": "x"}]}, "messages[0].role", "Missing required parameter: 'messages[0].role'."),
        ({"messages": [{"role": "boss", "content": "x"}]}, "messages[0].role", "'system'"),
        (
            {"messages": [{"role": "user", "content": 5}]},
            "messages[0].content",
            "expected one of a string or an array, but got an integer instead.",
        ),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "got null"),
        (
            {"messages": [*HELLO, {"role": "tool", "tool_call_id": "c", "content": ""}]},
            "messages[1].role",
            "preceeding",
        ),
        ({"stream_options": {"include_usage": True}}, "stream_options", "only allowed when 'stream' is enabled"),
        ({"tool_choice": "required"}, "tool_choice", "only allowed when 'tools' are specified"),
        ({"stop": ["a"] * 5}, "stop", "array too long"),
        ({"model": 5}, "model", "expected a string"),
        ({"max_tokens": 0}, "max_tokens", "Expected a value >= 1"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name", "pattern"),
        (
            {"messages": [*HELLO, {"role": "assistant", "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}]},
            "messages",
            "did not have response messages: call_1",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_wrong_requests_are_told_in_openais_words_and_reach_no_backend(ask, request_, param, text):
    backend = ScriptedBackend()

    with pytest.raises(openai.BadRequestError) as caught:
        ask(backend, **request_)

    assert text in caught.value.body["message"]
    assert (caught.value.param, backend.requests) == (param, [])


def test_an_error_before_the_first_chunk_keeps_its_status(ask):
    with pytest.raises(openai.RateLimitError) as caught:
        ask([Fail(Overloaded("256 requests are waiting.", retry_after=2))], stream=True)

    assert caught.value.response.headers["retry-after"] == "2"


def test_an_error_in_the_middle_reaches_the_reader(ask):
    stream = ask([Fail(ServerError("the weights are gone"), text="one two three", after=2)], stream=True)

    with pytest.raises(openai.APIError, match="the weights are gone"):
        list(stream)


def eventually(condition) -> bool:
    until = time.monotonic() + 60
    while not condition() and time.monotonic() < until:
        time.sleep(0.02)
    return condition()


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "plain"])
def test_a_client_that_leaves_stops_the_backend(tmp_path, stream):
    backend = ScriptedBackend([Slow("word " * 10_000, delay=0.05)])
    with serve_for_test(tmp_path, backend, routers=[chat.router]) as server:
        body = {"model": "scripted", "messages": HELLO, "stream": stream}

        def leave_soon():
            with (
                httpx2.Client(timeout=0.5) as client,
                client.stream("POST", f"{server.base_url}/chat/completions", json=body) as response,
            ):
                next(response.iter_lines())

        if stream:
            leave_soon()
        else:
            with pytest.raises(httpx2.ReadTimeout):
                leave_soon()

        assert eventually(lambda: backend.cancelled == 1 and backend.open == 0)


def test_many_streams_at_once(tmp_path):
    backend = ScriptedBackend(lambda body: f"answer to {body['messages'][0]['content']}")
    with serve_for_test(tmp_path, backend, routers=[chat.router]) as server:
        said = {}

        def one(number):
            messages = [{"role": "user", "content": f"question {number}"}]
            stream = server.client.chat.completions.create(model="scripted", messages=messages, stream=True)
            said[number] = "".join(chunk.choices[0].delta.content or "" for chunk in stream)

        threads = [threading.Thread(target=one, args=(number,)) for number in range(20)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]

    assert said == {number: f"answer to question {number}" for number in range(20)}
