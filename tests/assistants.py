"""A server with the Assistants API and its executor, for tests; every JSON response is checked against OpenAI's file.

with assistants_server(tmp_path, ScriptedBackend(["Paris."])) as server:
    server.client.beta.assistants.create(model="scripted")
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import httpx2
from openai import AsyncOpenAI, OpenAI
from tests.serving import Running, serve_for_test
from tests.spec import PATH, conforms

from hypotez.backend import Backend
from hypotez.server import assistants, messages, runs, steps, threads
from hypotez.server.services import Services
from hypotez.worker.runs import Runs

ROUTERS = [module.router for module in (assistants, threads, messages, runs, steps)]


@dataclass
class AssistantsServer:
    """The running server, and clients whose every answer is checked."""

    running: Running
    checked: list[str] = field(default_factory=list)  # "POST /threads", as answers were checked

    @property
    def base_url(self) -> str:
        return self.running.base_url

    def client_for(self, api_key: str, **options) -> OpenAI:
        http = httpx2.Client(event_hooks={"response": [self._check]}, timeout=60)
        return OpenAI(base_url=self.base_url, api_key=api_key, max_retries=0, http_client=http, **options)

    @property
    def client(self) -> OpenAI:
        return self.client_for(self.running.api_key)

    @property
    def async_client(self) -> AsyncOpenAI:
        return self.running.async_client

    def _check(self, response: httpx2.Response) -> None:
        if not response.headers.get("content-type", "").startswith("application/json"):
            return
        response.read()
        path = response.url.path.removeprefix("/v1")
        self.checked.append(check_response(response.request.method, path, response.status_code, response.json()))


@contextmanager
def assistants_server(home: Path, backend: Backend | None = None, **values) -> Iterator[AssistantsServer]:
    """``values`` are fields of ``Services``; ``silence`` and ``keep_events`` are the executor's."""
    executors: list[Runs] = []
    patience = {name: values.pop(name) for name in ("silence", "keep_events") if name in values}

    async def execute(services: Services) -> None:
        executors.append(Runs(services.store, services.router, **{"silence": 2.0, **patience}))
        await executors[0].run()

    def wake(kind: str) -> None:
        for executor in executors:
            executor.wake()

    with serve_for_test(home, backend, routers=ROUTERS, background=[execute], wake=wake, **values) as running:
        yield AssistantsServer(running)


EVENTS = {  # the longest prefix first
    "thread.message.delta": "MessageDeltaObject",
    "thread.run.step.delta": "RunStepDeltaObject",
    "thread.run.step.": "RunStepObject",
    "thread.message.": "MessageObject",
    "thread.run.": "RunObject",
    "thread.created": "ThreadObject",
}


def check_event(name: str, body: Any) -> None:
    """An event of a run's stream against the specification."""
    schema = next((schema for prefix, schema in EVENTS.items() if name.startswith(prefix)), None)
    assert schema is not None, f"no such event: {name}"
    conforms(schema, body)


def check_response(method: str, path: str, status: int, body: Any) -> str:
    """A JSON response against the specification; returns the operation, ``"POST /threads"``, or its status."""
    if status >= 400:
        assert set(body) == {"error"}
        assert set(body["error"]) == {"message", "type", "param", "code"}
        assert body["error"]["message"]
        return f"{method} {status}"
    for operation, pattern, schema in _operations():
        if operation.startswith(f"{method} ") and re.fullmatch(pattern, path):
            # an empty page has no first and no last id; OpenAI's own answers have null there too
            empty = body.get("object") == "list" and not body["data"]
            conforms(schema, {**body, "first_id": "", "last_id": ""} if empty else body)
            return operation
    return f"{method} {path}"


@cache
def _operations() -> list[tuple[str, str, str]]:
    """(operation, pattern of its path, schema of its answer); paths without a variable first."""
    if not PATH.exists():
        return []
    found = []
    for template, methods in sorted(json.loads(PATH.read_text())["paths"].items(), key=lambda item: item[0].count("{")):
        for method, operation in methods.items():
            reference = operation.get("responses", {}).get("200", {}).get("content", {}).get("application/json", {})
            name = reference.get("schema", {}).get("$ref", "").rpartition("/")[2] if reference else ""
            if name:
                found.append((f"{method.upper()} {template}", re.sub(r"{\w+}", "[^/]+", template), name))
    return found
