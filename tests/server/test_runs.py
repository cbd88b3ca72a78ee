"""Runs by the official SDK over a real socket: their ends, their tools, their limits, the thread's lock."""

import threading
import time

import openai
import pytest
from tests.assistants import assistants_server

from hypotez.errors import ContextLengthExceeded, Overloaded, RateLimited, UpstreamError
from hypotez.testing import Fail, ScriptedBackend, Slow, ToolCall, ToolCalls

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")  # OpenAI marked the SDK's calls so

WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
OSLO, ROME = ToolCall("weather", {"city": "Oslo"}, "call_oslo"), ToolCall("weather", {"city": "Rome"}, "call_rome")


class Scene:
    """A server on a script, an assistant and a thread with one message."""

    def __init__(self, server, backend, **assistant):
        self.server, self.backend = server, backend
        self.beta = server.client.beta
        self.runs, self.messages = self.beta.threads.runs, self.beta.threads.messages
        self.assistant = self.beta.assistants.create(**{"model": "scripted", "instructions": "Be kind.", **assistant})
        self.thread = self.beta.threads.create(messages=[{"role": "user", "content": "hi"}])

    def create(self, **values):
        return self.runs.create(thread_id=self.thread.id, assistant_id=self.assistant.id, **values)

    def run(self, **values):
        return self.runs.create_and_poll(thread_id=self.thread.id, assistant_id=self.assistant.id, **values)

    def read(self, run):
        return self.runs.retrieve(run.id, thread_id=self.thread.id)

    def reach(self, run, *statuses):
        """Poll until the run has one of the statuses."""
        while (now := self.read(run)).status not in statuses:
            assert now.status in ("queued", "in_progress", "requires_action", "cancelling"), now
            time.sleep(0.02)
        return now

    def cancel(self, run):
        return self.runs.cancel(run.id, thread_id=self.thread.id)

    def submit(self, run, **outputs):
        pairs = [{"tool_call_id": id, "output": output} for id, output in outputs.items()]
        return self.runs.submit_tool_outputs_and_poll(run_id=run.id, thread_id=self.thread.id, tool_outputs=pairs)

    def said(self):
        return [m.content[0].text.value for m in self.messages.list(self.thread.id, order="asc")]

    def asked(self, turn=-1):
        return self.backend.requests[turn]


@pytest.fixture
def scene(tmp_path):
    opened = []

    def open_scene(*script, assistant=None, **values):
        backend = ScriptedBackend(script[0] if script and callable(script[0]) else script)
        context = assistants_server(tmp_path, backend, **values)
        opened.append(context)
        return Scene(context.__enter__(), backend, **(assistant or {}))

    yield open_scene
    for context in opened:
        context.__exit__(None, None, None)


def test_a_run_answers_with_a_message_and_counts_its_tokens(scene):
    here = scene("Hello there!")

    run = here.run(metadata={"k": "v"})

    assert run.status == "completed"
    assert here.said() == ["hi", "Hello there!"]
    assert run.usage.total_tokens == run.usage.prompt_tokens + run.usage.completion_tokens > 0
    assert (run.metadata, run.expires_at, run.last_error) == ({"k": "v"}, None, None)
    assert run.created_at <= run.started_at <= run.completed_at
    reply = here.messages.list(here.thread.id).data[0]
    assert (reply.run_id, reply.assistant_id, reply.status) == (run.id, here.assistant.id, "completed")


def test_the_model_is_asked_with_what_run_and_assistant_say(scene):
    here = scene("ok", "ok", assistant={"temperature": 0, "tools": [WEATHER], "response_format": {"type": "text"}})

    here.run()
    here.run(
        instructions="Be brief.",
        additional_instructions="Be glad.",
        additional_messages=[{"role": "user", "content": "also this"}],
        temperature=0.5,
        top_p=0,
        tools=[],
        max_completion_tokens=300,
        response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}},
    )

    assert here.asked(0) == {
        "model": "scripted",
        "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "hi"}],
        "temperature": 0,
        "tools": [WEATHER],
        "response_format": {"type": "text"},
    }
    assert here.asked(1) == {
        "model": "scripted",
        "messages": [
            {"role": "system", "content": "Be brief.\n\nBe glad."},
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "ok"},
            {"role": "user", "content": "also this"},
        ],
        "temperature": 0.5,
        "top_p": 0,
        "max_completion_tokens": 300,
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}},
    }


def test_function_calls_wait_for_all_their_outputs(scene):
    here = scene(ToolCalls([OSLO, ROME]), "Cold and warm.", assistant={"tools": [WEATHER]})

    waiting = here.run(tool_choice="required", parallel_tool_calls=False)
    calls = waiting.required_action.submit_tool_outputs.tool_calls
    done = here.submit(waiting, call_oslo="-5", call_rome="18")

    assert waiting.status == "requires_action"
    assert [(call.id, call.function.arguments) for call in calls] == [
        ("call_oslo", '{"city": "Oslo"}'),
        ("call_rome", '{"city": "Rome"}'),
    ]
    assert done.status == "completed"
    assert here.said() == ["hi", "Cold and warm."]
    assert (here.asked(0)["tool_choice"], here.asked(0)["parallel_tool_calls"]) == ("required", False)
    assert "tool_choice" not in here.asked(1)  # forced once, or it would never answer
    assert [m["role"] for m in here.asked(1)["messages"]] == ["system", "user", "assistant", "tool", "tool"]
    assert [m["content"] for m in here.asked(1)["messages"][3:]] == ["-5", "18"]


def test_a_later_run_sees_what_an_earlier_one_called_and_got(scene):
    here = scene(ToolCalls([OSLO, ROME]), "Cold and warm.", "As I said.", assistant={"tools": [WEATHER]})
    here.submit(here.run(), call_oslo="-5", call_rome="18")

    here.run(additional_messages=[{"role": "user", "content": "again?"}])

    calls = [
        {"id": f"call_{city.lower()}", "type": "function", "function": {"name": "weather", "arguments": arguments}}
        for city, arguments in (("Oslo", '{"city": "Oslo"}'), ("Rome", '{"city": "Rome"}'))
    ]
    assert here.asked()["messages"] == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "call_oslo", "content": "-5"},
        {"role": "tool", "tool_call_id": "call_rome", "content": "18"},
        {"role": "assistant", "content": "Cold and warm."},
        {"role": "user", "content": "again?"},
    ]


def test_a_history_that_is_cut_never_parts_a_call_from_its_output(scene):
    here = scene(ToolCalls([OSLO]), "Cold.", "ok", assistant={"tools": [WEATHER]})
    here.submit(here.run(), call_oslo="-5")

    here.run(truncation_strategy={"type": "last_messages", "last_messages": 1})

    roles = [message["role"] for message in here.asked()["messages"]]
    assert roles == ["system", "assistant", "tool", "assistant"]


def test_a_thread_made_with_its_run_keeps_the_files_given_for_its_tools(scene):
    here = scene("ok", "ok")
    with here.server.running.store.write() as tx:
        tx.documents.create("file", {"id": "file-1", "object": "file"})
    files = {"code_interpreter": {"file_ids": ["file-1"]}}

    bare = here.beta.threads.create_and_run(assistant_id=here.assistant.id, tool_resources=files)
    own = here.beta.threads.create_and_run(
        assistant_id=here.assistant.id, tool_resources=files, thread={"tool_resources": {"code_interpreter": {}}}
    )

    kept = [here.beta.threads.retrieve(run.thread_id).tool_resources for run in (bare, own)]
    assert kept[0].code_interpreter.file_ids == ["file-1"]
    assert not kept[1].code_interpreter.file_ids


def test_the_steps_tell_what_was_done_and_what_it_cost(scene):
    here = scene(ToolCalls([OSLO], text="Let me look."), "Cold.", assistant={"tools": [WEATHER]})

    run = here.submit(here.run(), call_oslo="-5")
    steps = here.runs.steps.list(run.id, thread_id=here.thread.id, order="asc").data

    assert [step.type for step in steps] == ["message_creation", "tool_calls", "message_creation"]
    assert {step.status for step in steps} == {"completed"}
    assert steps[1].step_details.tool_calls[0].function.output == "-5"
    assert sum(step.usage.total_tokens for step in steps) == run.usage.total_tokens
    assert here.runs.steps.retrieve(steps[0].id, run_id=run.id, thread_id=here.thread.id) == steps[0]
    assert here.said() == ["hi", "Let me look.", "Cold."]
    assert here.asked(1)["messages"][2]["content"] == "Let me look."  # text and call were one message


@pytest.mark.parametrize(
    "ids", [[], ["call_oslo"], ["call_oslo", "call_other"], ["call_oslo", "call_oslo"]], ids=lambda ids: ",".join(ids)
)
def test_outputs_for_other_calls_are_refused_in_openais_words(scene, ids):
    here = scene(ToolCalls([OSLO, ROME]), assistant={"tools": [WEATHER]})
    run = here.run()

    with pytest.raises(
        openai.BadRequestError, match=r"Expected tool outputs for call_ids \['call_oslo', 'call_rome'\]"
    ):
        here.runs.submit_tool_outputs(
            run.id, thread_id=here.thread.id, tool_outputs=[{"tool_call_id": id, "output": ""} for id in ids]
        )

    assert here.read(run).status == "requires_action"


def test_outputs_for_a_run_that_is_over_are_refused(scene):
    here = scene("ok")
    run = here.run()

    with pytest.raises(openai.BadRequestError, match='Runs in status "completed" do not accept tool outputs'):
        here.submit(run, call_x="")


def test_the_thread_is_locked_while_a_run_is_active(scene):
    here = scene(OSLO, assistant={"tools": [WEATHER]})
    run = here.run()

    with pytest.raises(openai.BadRequestError) as message:
        here.messages.create(here.thread.id, role="user", content="x")
    with pytest.raises(openai.BadRequestError) as second:
        here.create()

    assert message.value.body["message"] == f"Can't add messages to {here.thread.id} while a run {run.id} is active."
    assert second.value.body["message"] == f"Thread {here.thread.id} already has an active run {run.id}."
    assert (second.value.type, second.value.code, second.value.param) == ("invalid_request_error", None, None)


def test_a_patient_client_waits_for_the_thread(scene):
    here = scene(Slow("a b c d e", 0.05), "second")
    run = here.create()

    here.messages.create(here.thread.id, role="user", content="after", extra_headers={"x-hypotez-wait": "true"})

    assert here.read(run).status == "completed"
    assert here.said() == ["hi", "a b c d e", "after"]


def test_many_patient_runs_take_the_thread_in_turn(scene):
    here = scene(lambda body: "ok")
    threads = [
        threading.Thread(target=lambda: here.run(extra_headers={"x-hypotez-wait": "true"}), daemon=True)
        for _ in range(8)
    ]

    [thread.start() for thread in threads]
    [thread.join() for thread in threads]

    assert here.said() == ["hi"] + ["ok"] * 8


def test_a_cancelled_run_keeps_its_partial_message(scene):
    here = scene(Slow("one two three four " * 100, 0.02))
    run = here.create()
    while not here.backend.open:
        time.sleep(0.01)
    time.sleep(0.3)

    asked = here.cancel(run)
    ended = here.reach(run, "cancelled")

    assert asked.status == "cancelling"
    assert ended.cancelled_at is not None
    assert here.backend.cancelled == 1
    reply = here.messages.list(here.thread.id).data[0]
    assert reply.status == "incomplete"
    assert reply.incomplete_details.reason == "run_cancelled"
    assert reply.content[0].text.value.startswith("one two")
    here.messages.create(here.thread.id, role="user", content="the thread is free again")


def test_a_run_that_waits_for_outputs_can_be_cancelled(scene):
    here = scene(OSLO, assistant={"tools": [WEATHER]})
    run = here.run()

    here.cancel(run)
    ended = here.reach(run, "cancelled")

    (step,) = here.runs.steps.list(run.id, thread_id=here.thread.id).data
    assert step.status == "cancelled"
    assert ended.required_action is None
    with pytest.raises(openai.BadRequestError, match="Cannot cancel run with status 'cancelled'"):
        here.cancel(run)


def test_a_run_expires_with_what_it_had_said(scene):
    here = scene(Slow("word " * 1000, 0.02), run_seconds=1)

    run = here.run()

    assert run.status == "expired"
    reply = here.messages.list(here.thread.id).data[0]
    assert reply.incomplete_details.reason == "run_expired"
    assert here.backend.cancelled == 1


def test_outputs_that_never_come_let_the_run_expire(scene):
    here = scene(OSLO, assistant={"tools": [WEATHER]}, run_seconds=1)
    run = here.run()

    ended = here.reach(run, "expired")

    (step,) = here.runs.steps.list(run.id, thread_id=here.thread.id).data
    assert (step.status, ended.required_action) == ("expired", None)
    here.messages.create(here.thread.id, role="user", content="the thread is free again")


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (UpstreamError("the upstream is gone"), "server_error"),
        (RateLimited("slow down"), "rate_limit_exceeded"),
        (ContextLengthExceeded("too long"), "invalid_prompt"),
        (ZeroDivisionError(), "server_error"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_run_that_fails_says_why(scene, failure, code):
    here = scene(lambda body: Fail(failure, "some words before", 2))

    run = here.run()

    assert (run.status, run.last_error.code) == ("failed", code)
    assert run.failed_at is not None
    reply = here.messages.list(here.thread.id).data[0]
    assert (reply.incomplete_details.reason, reply.content[0].text.value) == ("run_failed", "some words ")


def test_an_overloaded_engine_is_asked_again(scene):
    here = scene(Fail(Overloaded("busy", retry_after=0.01)), Fail(Overloaded("busy", retry_after=0.01)), "at last")

    run = here.run()

    assert (run.status, here.said()) == ("completed", ["hi", "at last"])


def test_max_completion_tokens_make_the_run_incomplete(scene):
    here = scene("word " * 400)

    run = here.run(max_completion_tokens=256)

    assert (run.status, run.incomplete_details.reason) == ("incomplete", "max_completion_tokens")
    reply = here.messages.list(here.thread.id).data[0]
    assert (reply.status, reply.incomplete_details.reason) == ("incomplete", "max_tokens")
    assert reply.content[0].text.value == "word " * 256


def test_max_prompt_tokens_make_the_run_incomplete(scene):
    here = scene("never said", assistant={"instructions": "long " * 1000})

    run = here.run(max_prompt_tokens=256)

    assert (run.status, run.incomplete_details.reason) == ("incomplete", "max_prompt_tokens")
    assert here.backend.requests == []


def test_a_prompt_the_model_finds_too_long_is_shortened(scene):
    def short_only(body):
        return Fail(ContextLengthExceeded("too long")) if len(body["messages"]) > 6 else "fits"

    here = scene(short_only)
    for number in range(20):
        here.messages.create(here.thread.id, role="user", content=f"message {number} " * 10)

    run = here.run()

    assert run.status == "completed"
    assert here.asked()["messages"][0]["role"] == "system"
    assert here.asked()["messages"][-1]["content"].startswith("message 19")


@pytest.mark.parametrize("tool", ["code_interpreter", "file_search"])
def test_a_tool_that_is_not_here_fails_the_run_by_name(scene, tool):
    here = scene("never said", assistant={"tools": [{"type": tool}]})

    run = here.run()

    assert run.status == "failed"
    assert tool in run.last_error.message
    assert here.backend.requests == []


def test_a_model_that_is_gone_fails_the_run_by_name(scene):
    here = scene("never said")
    with here.server.running.store.write() as tx:  # it was there when the assistant was made
        tx.documents.change(tx.documents.get("assistant", here.assistant.id), {"model": "no-such-model"})

    run = here.run()

    assert run.status == "failed"
    assert "no-such-model" in run.last_error.message


def test_an_empty_answer_is_an_empty_message(scene):
    here = scene("")

    run = here.run()

    assert (run.status, here.said()) == ("completed", ["hi", ""])


def test_runs_are_listed_modified_and_found_only_in_their_thread(scene):
    here = scene("one", "two")
    first, second = here.run(), here.run()

    changed = here.runs.update(first.id, thread_id=here.thread.id, metadata={"seen": "yes"})
    other = here.beta.threads.create()

    assert [run.id for run in here.runs.list(here.thread.id)] == [second.id, first.id]
    assert changed.metadata == {"seen": "yes"}
    with pytest.raises(openai.NotFoundError, match=f"No run found with id '{first.id}'"):
        here.runs.retrieve(first.id, thread_id=other.id)


def test_a_run_of_an_unknown_assistant_is_a_404_and_locks_nothing(scene):
    here = scene("ok")

    with pytest.raises(openai.NotFoundError, match="No assistant found with id 'asst_none'"):
        here.runs.create(thread_id=here.thread.id, assistant_id="asst_none")

    assert here.run().status == "completed"


def test_deleting_the_thread_stops_its_run(scene):
    here = scene(Slow("word " * 1000, 0.02))
    run = here.create()
    while not here.backend.open:
        time.sleep(0.01)

    here.beta.threads.delete(here.thread.id)

    while here.backend.open:
        time.sleep(0.01)
    with pytest.raises(openai.NotFoundError):
        here.read(run)


def test_poll_answers_say_how_soon_to_ask_again(scene):
    here = scene("ok")
    run = here.run()

    raw = here.runs.with_raw_response.retrieve(run.id, thread_id=here.thread.id)

    assert raw.headers["openai-poll-after-ms"] == "100"


def test_a_retried_creation_finds_the_run_that_the_first_one_made(scene):
    here = scene(OSLO, assistant={"tools": [WEATHER]})
    key = {"Idempotency-Key": "one"}

    first = here.create(extra_headers=key)
    again = here.create(extra_headers=key)

    assert again.id == first.id


def test_retried_outputs_are_answered_like_the_first(scene):
    here = scene(OSLO, "Cold.", assistant={"tools": [WEATHER]})
    run = here.run()
    outputs = {"thread_id": here.thread.id, "tool_outputs": [{"tool_call_id": "call_oslo", "output": "-5"}]}

    here.runs.submit_tool_outputs(run.id, **outputs)
    here.reach(run, "completed")
    again = here.runs.submit_tool_outputs(run.id, **outputs, extra_headers={"x-stainless-retry-count": "1"})

    assert again.id == run.id
    assert here.said() == ["hi", "Cold."]
