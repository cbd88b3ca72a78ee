"""Every route of the server and one object of every kind behind it: what hostile and strange clients are tried on.

with whole_server(tmp_path) as whole:
    whole.server.client.models.retrieve(whole.ids["model"])
"""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fastapi.routing import APIRoute
from openai import OpenAI
from tests.serving import Running, serve_for_test

from hypotez.embedded.assembly import ROUTERS
from hypotez.server.services import Services
from hypotez.testing import Reply, ScriptedBackend, ToolCall
from hypotez.worker.runs import Runs

TUNED = "ft:scripted:personal:shop:abcd1234"
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
LINES = b"".join(
    json.dumps({"messages": [{"role": "user", "content": f"q {n}"}, {"role": "assistant", "content": "a"}]}).encode()
    + b"\n"
    for n in range(10)
)


@dataclass
class Whole:
    """The server, and ids by the names that paths have for them."""

    server: Running
    ids: dict[str, str]

    @property
    def base_url(self) -> str:
        return self.server.base_url


def served() -> list[APIRoute]:
    """Every route under /v1, as the application mounts them."""
    return [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]


@contextmanager
def whole_server(home: Path, **values) -> Iterator[Whole]:
    """``values`` are fields of ``Services`` and of ``serve_for_test``. Nothing trains: no supervisor runs."""
    runs: list[Runs] = []

    async def execute(services: Services) -> None:
        runs.append(Runs(services.store, services.router, silence=2.0))
        await runs[0].run()

    def wake(kind: str) -> None:
        for executor in runs:
            executor.wake()

    options = {"routers": ROUTERS, "background": [execute], "wake": wake, "bases": {"scripted": "/nowhere"}, **values}
    with serve_for_test(home, ScriptedBackend(_reply), **options) as server:
        yield Whole(server, populate(server, server.client))


def populate(server: Running, client: OpenAI, project: str = "default", suffix: str = "") -> dict[str, str]:
    """One of everything for the client's project; the run waits for the output of a call, ``ended_run`` is over."""
    beta = client.beta
    assistant = beta.assistants.create(model="scripted", tools=[WEATHER], metadata={"whose": project})
    thread = beta.threads.create(messages=[{"role": "user", "content": "call the tool"}])
    run = beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
    other = beta.threads.create(messages=[{"role": "user", "content": "hi"}])
    ended = beta.threads.runs.create_and_poll(thread_id=other.id, assistant_id=assistant.id)
    file = client.files.create(file=("train.jsonl", io.BytesIO(LINES)), purpose="fine-tune")
    job = client.fine_tuning.jobs.create(model="scripted", training_file=file.id, metadata={"whose": project})
    model = TUNED + suffix
    with server.store.write() as tx:
        body = {"id": model, "object": "model", "created": 1, "owned_by": "user", "shutdown_date": None}
        private = {"root": "scripted", "folder": "/nowhere", "path": str(server.services.home / f"x{suffix}")}
        tx.documents.create("model", body, project=project, private={**private, "full": False})
        permission = {"id": f"cp_1{suffix}", "object": "checkpoint.permission", "created_at": 1, "project_id": "third"}
        tx.documents.create("checkpoint.permission", permission, project=project, parent=model)
    return {
        "assistant_id": assistant.id,
        "thread_id": thread.id,
        "run_id": run.id,
        "message_id": beta.threads.messages.list(thread.id).data[0].id,
        "step_id": beta.threads.runs.steps.list(run.id, thread_id=thread.id).data[0].id,
        "ended_thread": other.id,
        "ended_run": ended.id,
        "file_id": file.id,
        "job_id": job.id,
        "model": model,
        "checkpoint": model,
        "permission_id": permission["id"],
    }


def _reply(body: dict) -> Reply:
    said = json.dumps(body.get("messages"))
    return ToolCall("weather", {}, "c") if "call the tool" in said and '"tool"' not in said else "ok"
