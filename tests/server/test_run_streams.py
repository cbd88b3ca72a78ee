"""Streams of runs by the official SDK over a real socket: the order of events, two clients, a lost connection."""

import asyncio
import json
import threading
import time

import httpx2
import openai
import pytest
from openai import AssistantEventHandler
from tests.assistants import assistants_server, check_event

from hypotez.errors import UpstreamError
from hypotez.testing import Fail, ScriptedBackend, Slow, ToolCall, ToolCalls
from hypotez.worker.forgetting import forget_before

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")  # OpenAI marked the SDK's calls so

WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
OSLO = ToolCall("weather", {"city": "Oslo"}, "call_oslo")

BEGUN = ["thread.run.created", "thread.run.queued", "thread.run.in_progress"]
STEP = ["thread.run.step.created", "thread.run.step.in_progress"]
MESSAGE = ["thread.message.created", "thread.message.in_progress", "thread.message.delta+"]
TEXT = [*STEP, *MESSAGE, "thread.message.completed", "thread.run.step.completed"]
CALLS = [*STEP, "thread.run.step.delta+", "thread.run.requires_action"]
RESUMED = ["thread.run.step.completed", "thread.run.queued", "thread.run.in_progress"]


@pytest.fixture
def scene(tmp_path):
    opened = []

    def open_scene(*script, **values):
        context = assistants_server(tmp_path, ScriptedBackend(script), **values)
        opened.append(context)
        server = context.__enter__()
        server.beta = server.client.beta
        server.assistant_id = server.beta.assistants.create(model="scripted", tools=[WEATHER]).id
        server.thread_id = server.beta.threads.create(messages=[{"role": "user", "content": "hi"}]).id
        return server

    yield open_scene
    for context in opened:
        context.__exit__(None, None, None)


def told(events) -> list[str]:
    """The names of a stream's events, each body checked against the specification; runs of deltas are one name."""
    names: list[str] = []
    for event in events:
        check_event(event.event, event.data.model_dump(mode="json", exclude_unset=True, by_alias=True))
        name = f"{event.event}+" if event.event.endswith(".delta") else event.event
        if not names or names[-1] != name:
            names.append(name)
    return names


def stream(server, **values):
    return server.beta.threads.runs.stream(thread_id=server.thread_id, assistant_id=server.assistant_id, **values)


def read_raw(server, path: str, **options) -> list[tuple[int | None, str, str]]:
    """(id, event, data) of a server-sent stream, as they lie on the wire."""
    events, current = [], {}
    with httpx2.stream("GET", f"{server.base_url}{path}", timeout=30, **options) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        for line in response.iter_lines():
            if line:
                name, _, value = line.partition(": ")
                current[name] = value
            elif current:
                events.append((int(current["id"]) if "id" in current else None, current["event"], current["data"]))
                current = {}
    return events


def test_a_text_run_tells_every_event_in_openais_order(scene):
    server = scene("Hello there, how are you?")

    with stream(server) as events:
        names = told(events)

    assert names == [*BEGUN, *TEXT, "thread.run.completed"]


def test_create_and_run_tells_of_the_thread_first(scene):
    server = scene("Hello.")

    with server.beta.threads.create_and_run_stream(
        assistant_id=server.assistant_id, thread={"messages": [{"role": "user", "content": "hi"}]}
    ) as events:
        names = told(events)

    assert names == ["thread.created", *BEGUN, *TEXT, "thread.run.completed"]


def test_tools_stream_up_to_the_wait_and_on_after_the_outputs(scene):
    server = scene(OSLO, "It is cold.")

    with stream(server) as events:
        before = told(events)
        run = events.get_final_run()
    with server.beta.threads.runs.submit_tool_outputs_stream(
        run_id=run.id, thread_id=server.thread_id, tool_outputs=[{"tool_call_id": "call_oslo", "output": "-5"}]
    ) as events:
        after = told(events)

    assert before == [*BEGUN, *CALLS]
    assert after == [*RESUMED, *TEXT, "thread.run.completed"]


def test_text_before_calls_is_complete_before_their_step_begins(scene):
    server = scene(ToolCalls([OSLO], text="Let me look."))

    with stream(server) as events:
        names = told(events)

    assert names == [*BEGUN, *TEXT, *CALLS]


@pytest.mark.parametrize(
    ("reply", "values", "ending"),
    [
        (
            Fail(UpstreamError("gone"), "a b c", 2),
            {},
            ["thread.message.incomplete", "thread.run.step.failed", "thread.run.failed"],
        ),
        (
            "word " * 300,
            {"max_completion_tokens": 256},
            ["thread.message.incomplete", "thread.run.step.completed", "thread.run.incomplete"],
        ),
    ],
    ids=["failed", "incomplete"],
)
def test_a_run_that_breaks_off_closes_what_it_had_opened(scene, reply, values, ending):
    server = scene(reply)

    with stream(server, **values) as events:
        names = told(events)

    assert names == [*BEGUN, *STEP, *MESSAGE, *ending]


def test_cancelling_is_told_to_whoever_follows(scene):
    server = scene(Slow("word " * 1000, 0.01))

    with stream(server) as events:
        names = []
        for event in events:
            names.append(event.event)
            if event.event == "thread.message.delta" and names.count(event.event) == 3:  # once
                server.client.beta.threads.runs.cancel(events.current_run.id, thread_id=server.thread_id)

    rest = [name for name in names[names.index("thread.message.delta") :] if name != "thread.message.delta"]
    assert rest == [
        "thread.run.cancelling",
        "thread.message.incomplete",
        "thread.run.step.cancelled",
        "thread.run.cancelled",
    ]


def test_an_expired_run_says_so_in_its_stream(scene):
    server = scene(Slow("word " * 1000, 0.02), run_seconds=3)

    with stream(server) as events:
        names = told(events)

    assert names[-3:] == ["thread.message.incomplete", "thread.run.step.expired", "thread.run.expired"]


def test_the_sdks_event_handler_gathers_the_whole_text_and_the_calls(scene):
    server = scene(ToolCalls([OSLO], text="Let me look at the weather."))
    heard = []

    class Handler(AssistantEventHandler):
        def on_text_delta(self, delta, snapshot):
            heard.append(delta.value)

        def on_text_done(self, text):
            heard.append(("done", text.value))

        def on_tool_call_created(self, tool_call):
            heard.append(("call", tool_call.function.name))

        def on_tool_call_done(self, tool_call):
            heard.append(("called", tool_call.function.arguments))

        def on_message_done(self, message):
            heard.append(("message", message.status))

    with stream(server, event_handler=Handler()) as events:
        events.until_done()
        final = events.get_final_messages()
        steps = events.get_final_run_steps()

    words = [word for word in heard if isinstance(word, str)]
    assert "".join(words) == "Let me look at the weather."
    assert ("done", "Let me look at the weather.") in heard
    assert ("message", "completed") in heard
    assert ("call", "weather") in heard
    assert ("called", '{"city": "Oslo"}') in heard
    assert final[0].content[0].text.value == "Let me look at the weather."
    assert [step.type for step in steps] == ["message_creation", "tool_calls"]


def test_text_deltas_carry_their_index_and_annotations_once(scene):
    server = scene(Slow("one two three", 0.05))

    with stream(server) as events:
        parts = [event.data.delta.content[0] for event in events if event.event == "thread.message.delta"]

    assert {part.index for part in parts} == {0}
    assert [part.text.annotations for part in parts] == [[]] + [None] * (len(parts) - 1)
    assert len(parts) > 1


def test_two_clients_follow_one_run(scene):
    server = scene(Slow("one two three four five six", 0.05))
    run = server.beta.threads.runs.create(thread_id=server.thread_id, assistant_id=server.assistant_id)
    path, seen = f"/threads/{server.thread_id}/runs/{run.id}/stream", [None, None]

    def follow(number):
        seen[number] = read_raw(server, path)

    clients = [threading.Thread(target=follow, args=(number,)) for number in range(2)]
    [client.start() for client in clients]
    [client.join() for client in clients]

    assert seen[0] == seen[1]
    assert seen[0][0][1] == "thread.run.created"
    assert [name for _, name, _ in seen[0][-2:]] == ["thread.run.completed", "done"]


def test_a_lost_connection_goes_on_exactly_where_it_broke(scene):
    server = scene(Slow("one two three four five six seven", 0.03))
    run = server.beta.threads.runs.create(thread_id=server.thread_id, assistant_id=server.assistant_id)
    path = f"/threads/{server.thread_id}/runs/{run.id}/stream"
    first = []
    with httpx2.stream("GET", f"{server.base_url}{path}", timeout=30) as response:
        for line in response.iter_lines():
            if line.startswith("id: "):
                first.append(int(line[4:]))
            if len(first) == 9:
                break

    by_query = read_raw(server, path, params={"after": first[-1]})
    by_header = read_raw(server, path, headers={"Last-Event-ID": str(first[-1])})
    whole = read_raw(server, path)

    assert by_query == by_header
    assert [*first, *(id for id, _, _ in by_query)] == [id for id, _, _ in whole]
    deltas = [json.loads(data)["delta"] for _, name, data in whole if name == "thread.message.delta"]
    assert "".join(delta["content"][0]["text"]["value"] for delta in deltas) == "one two three four five six seven"


def test_a_stream_that_was_left_early_does_not_stop_the_run(scene):
    server = scene(Slow("one two three four", 0.05))
    with stream(server) as events:
        for event in events:
            if event.event == "thread.message.delta":
                break
        run_id = events.current_run.id

    while (run := server.beta.threads.runs.retrieve(run_id, thread_id=server.thread_id)).status == "in_progress":
        time.sleep(0.02)

    assert run.status == "completed"
    assert server.beta.threads.messages.list(server.thread_id).data[0].content[0].text.value == "one two three four"


def test_following_a_run_that_is_over_replays_it_and_ends(scene):
    server = scene(OSLO, "Cold.")
    runs = server.beta.threads.runs
    run = runs.create_and_poll(thread_id=server.thread_id, assistant_id=server.assistant_id)
    path = f"/threads/{server.thread_id}/runs/{run.id}/stream"
    waiting = read_raw(server, path)
    runs.submit_tool_outputs_and_poll(
        run_id=run.id, thread_id=server.thread_id, tool_outputs=[{"tool_call_id": "call_oslo", "output": "-5"}]
    )

    whole = read_raw(server, path)
    beyond = read_raw(server, path, params={"after": whole[-2][0]})

    assert [name for _, name, _ in waiting[-2:]] == ["thread.run.requires_action", "done"]
    assert [name for _, name, _ in whole].count("thread.run.queued") == 2
    assert whole[-2][1] == "thread.run.completed"
    assert [name for _, name, _ in beyond] == ["done"]


def test_events_are_cleared_some_time_after_the_run_has_ended_and_not_before(scene):
    server = scene("Hello.", OSLO, "Cold.")
    runs, store = server.beta.threads.runs, server.running.store
    ended = runs.create_and_poll(thread_id=server.thread_id, assistant_id=server.assistant_id)
    waiting = runs.create_and_poll(thread_id=server.thread_id, assistant_id=server.assistant_id)
    ended_path, waiting_path = (f"/threads/{server.thread_id}/runs/{run.id}/stream" for run in (ended, waiting))

    assert forget_before(store, time.time() - 3600) == 0
    assert len(read_raw(server, ended_path)) > 5
    assert forget_before(store, time.time() + 1) == 1

    assert [name for _, name, _ in read_raw(server, ended_path)] == ["thread.run.completed", "done"]
    assert [name for _, name, _ in read_raw(server, waiting_path)][-2:] == ["thread.run.requires_action", "done"]
    done = runs.submit_tool_outputs_and_poll(
        run_id=waiting.id, thread_id=server.thread_id, tool_outputs=[{"tool_call_id": "call_oslo", "output": "-5"}]
    )
    assert done.status == "completed"


def test_an_executor_clears_events_by_itself(scene):
    server = scene("Hello.", keep_events=0.2)
    run = server.beta.threads.runs.create_and_poll(thread_id=server.thread_id, assistant_id=server.assistant_id)

    deadline = time.monotonic() + 20
    while events_of(server, run.id) and time.monotonic() < deadline:
        time.sleep(0.05)

    assert events_of(server, run.id) == []


def events_of(server, run_id):
    with server.running.store.read() as tx:
        return tx.events.after(run_id)


def test_deleting_the_thread_ends_its_streams_with_an_error(scene):
    server = scene(Slow("word " * 1000, 0.02))

    with pytest.raises(openai.APIError, match="was deleted"), stream(server) as events:
        iterator = iter(events)
        while next(iterator).event != "thread.message.delta":
            pass
        server.client.beta.threads.delete(server.thread_id)
        list(iterator)


def test_a_refused_run_is_a_plain_error_not_a_stream(scene):
    server = scene("never said")

    with (
        pytest.raises(openai.NotFoundError),
        server.beta.threads.runs.stream(thread_id=server.thread_id, assistant_id="asst_none") as events,
    ):
        events.until_done()


async def collect(client, thread_id, assistant_id) -> str:
    async with client.beta.threads.runs.stream(thread_id=thread_id, assistant_id=assistant_id) as events:
        return "".join([text async for text in events.text_deltas])


def test_many_streams_at_once_each_hear_their_own_run(scene):
    server = scene(*[Slow(f"answer {number} of many", 0.01) for number in range(40)])
    threads = [server.beta.threads.create(messages=[{"role": "user", "content": "hi"}]).id for _ in range(40)]

    async def all_of_them():
        client = server.async_client
        return await asyncio.gather(*(collect(client, thread, server.assistant_id) for thread in threads))

    heard = asyncio.run(all_of_them())

    assert sorted(heard) == sorted(f"answer {number} of many" for number in range(40))
