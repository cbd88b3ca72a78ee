"""Spans of a request, of the model call inside it with its phases, and of a run; none while nobody asked for them."""

import sys

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from tests.serving import serve_for_test
from tests.tiny import model_folder

from hypotez import spans
from hypotez.backend import Card, Source
from hypotez.engine.engine import EngineOptions
from hypotez.engine.local import LocalBackend, LocalOptions
from hypotez.server import assistants, chat, runs, threads
from hypotez.worker.runs import Runs

USER = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def exporter():
    exporter = InMemorySpanExporter()
    spans.configure(exporter=exporter)
    yield exporter
    spans.close()


@pytest.fixture
def server(tmp_path):
    source = Source(str(model_folder(tmp_path / "tiny")), None, Card("tiny"))
    options = LocalOptions(dtype="float32", device="cpu", engine=EngineOptions(cache_tokens=2048))
    backend = LocalBackend({"tiny": source}.get, lambda: [source.card], options)
    routers = [chat.router, assistants.router, threads.router, runs.router]

    async def work(services):
        await Runs(services.store, services.router).run()

    with serve_for_test(tmp_path, backend, routers=routers, background=[work]) as server:
        yield server


def test_a_streamed_request_shows_where_its_time_went(exporter, server):
    asked = server.client.chat.completions.create(
        model="tiny", messages=USER, max_tokens=7, temperature=0.5, stream=True, extra_body={"ignore_eos": True}
    )
    list(asked)
    server.client.close()
    while not (found := {span.name: span for span in exporter.get_finished_spans()}).get("POST /v1/chat/completions"):
        pass

    request, call = found["POST /v1/chat/completions"], found["chat tiny"]
    queue, prefill, decode = (found[name] for name in ("queue", "prefill", "decode"))
    assert request.kind is SpanKind.SERVER
    assert request.attributes["http.response.status_code"] == 200
    assert call.parent.span_id == request.context.span_id
    assert {span.parent.span_id for span in (queue, prefill, decode)} == {call.context.span_id}
    assert call.attributes["gen_ai.operation.name"] == "chat"
    assert call.attributes["gen_ai.request.temperature"] == 0.5
    assert call.attributes["gen_ai.usage.output_tokens"] == 7
    assert call.attributes["gen_ai.response.finish_reasons"] == ("length",)
    assert call.start_time == queue.start_time <= queue.end_time == prefill.start_time
    assert prefill.end_time == decode.start_time <= decode.end_time == call.end_time


def test_a_run_is_a_span_around_its_model_call(exporter, server):
    client = server.client
    assistant = client.beta.assistants.create(model="tiny")
    thread = client.beta.threads.create(messages=USER)

    run = client.beta.threads.runs.create_and_poll(
        thread_id=thread.id, assistant_id=assistant.id, max_completion_tokens=300
    )

    found = {span.name: span for span in exporter.get_finished_spans()}
    told = found[f"invoke_agent {assistant.id}"]
    assert told.attributes["gen_ai.conversation.id"] == thread.id
    assert told.attributes["hypotez.run.id"] == run.id
    assert found["chat tiny"].parent.span_id == told.context.span_id


def test_off_nothing_is_made_and_the_same_span_serves_everybody():
    before = set(sys.modules)

    with spans.span("anything", {"a": 1}) as first, spans.span("else") as second:
        first.set(b=2)

    assert first is second
    assert spans.here() is None
    assert spans.past("over", None, 0.0, 1.0, {}) is None
    assert not [name for name in set(sys.modules) - before if name.startswith("opentelemetry")]
