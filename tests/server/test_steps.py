"""Run steps by the official SDK over a real socket: pages, and nothing of another run or thread."""

import openai
import pytest
from tests.assistants import assistants_server

from hypotez.testing import ScriptedBackend, ToolCall

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")  # OpenAI marked the SDK's calls so

WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


@pytest.fixture
def scene(tmp_path):
    """A finished run of two calls and an answer: three steps."""
    script = [ToolCall("weather", {}, "call_1"), ToolCall("weather", {}, "call_2"), "Done."]
    with assistants_server(tmp_path, ScriptedBackend(script)) as server:
        beta = server.client.beta
        assistant = beta.assistants.create(model="scripted", tools=[WEATHER])
        thread = beta.threads.create(messages=[{"role": "user", "content": "hi"}])
        run = beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
        for call in ("call_1", "call_2"):
            run = beta.threads.runs.submit_tool_outputs_and_poll(
                run_id=run.id, thread_id=thread.id, tool_outputs=[{"tool_call_id": call, "output": f"of {call}"}]
            )
        yield server, thread, run


def test_steps_page_in_the_order_they_were_taken(scene):
    server, thread, run = scene
    steps = server.client.beta.threads.runs.steps

    ascending = steps.list(run.id, thread_id=thread.id, order="asc").data
    page = steps.list(run.id, thread_id=thread.id, limit=1, after=ascending[2].id)

    assert [step.type for step in ascending] == ["tool_calls", "tool_calls", "message_creation"]
    assert [step.id for step in page.data] == [ascending[1].id]
    assert page.has_more
    outputs = [step.step_details.tool_calls[0].function.output for step in ascending[:2]]
    assert outputs == ["of call_1", "of call_2"]


def test_the_message_step_names_its_message(scene):
    server, thread, run = scene
    beta = server.client.beta

    last = beta.threads.runs.steps.list(run.id, thread_id=thread.id).data[0]

    message_id = last.step_details.message_creation.message_id
    assert beta.threads.messages.retrieve(message_id, thread_id=thread.id).content[0].text.value == "Done."


def test_steps_are_found_only_under_their_own_run_and_thread(scene):
    server, thread, run = scene
    beta = server.client.beta
    other = beta.threads.create(messages=[{"role": "user", "content": "hi"}])
    step = beta.threads.runs.steps.list(run.id, thread_id=thread.id).data[0]

    with pytest.raises(openai.NotFoundError):
        beta.threads.runs.steps.retrieve(step.id, run_id=run.id, thread_id=other.id)
    with pytest.raises(openai.NotFoundError):
        beta.threads.runs.steps.list(run.id, thread_id=other.id)
    with pytest.raises(openai.NotFoundError, match="No step found with id 'step_none'"):
        beta.threads.runs.steps.retrieve("step_none", run_id=run.id, thread_id=thread.id)
