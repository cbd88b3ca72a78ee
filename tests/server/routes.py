"""Every route under /v1 with a body that is right but for its ids. For tests that try them all.

A route that the application has and this list has not fails ``test_isolation.py``: write it down here, with a body.
"""

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Route:
    method: str
    path: str
    body: dict[str, Any] = field(default_factory=dict)
    form: bool = False  # an upload: its body is multipart, not JSON

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def __hash__(self) -> int:
        return hash(str(self))


MESSAGE = {"role": "user", "content": "hello"}
THREAD, RUN = "/threads/{thread_id}", "/threads/{thread_id}/runs/{run_id}"
JOB, PERMISSIONS = "/fine_tuning/jobs/{job_id}", "/fine_tuning/checkpoints/{checkpoint}/permissions"
GRADER = {
    "type": "string_check",
    "name": "same",
    "operation": "eq",
    "input": "{{sample.output_text}}",
    "reference": "a",
}

ROUTES = [
    Route("POST", "/assistants", {"model": "scripted"}),
    Route("GET", "/assistants"),
    Route("GET", "/assistants/{assistant_id}"),
    Route("POST", "/assistants/{assistant_id}", {"name": "x"}),
    Route("DELETE", "/assistants/{assistant_id}"),
    Route("POST", "/threads", {"messages": [MESSAGE]}),
    Route("GET", "/threads"),
    Route("POST", "/threads/runs", {"assistant_id": "{assistant_id}", "thread": {"messages": [MESSAGE]}}),
    Route("GET", THREAD),
    Route("POST", THREAD, {"metadata": {"a": "b"}}),
    Route("DELETE", THREAD),
    Route("POST", f"{THREAD}/messages", MESSAGE),
    Route("GET", f"{THREAD}/messages"),
    Route("GET", f"{THREAD}/messages/{{message_id}}"),
    Route("POST", f"{THREAD}/messages/{{message_id}}", {"metadata": {"a": "b"}}),
    Route("DELETE", f"{THREAD}/messages/{{message_id}}"),
    Route("POST", f"{THREAD}/runs", {"assistant_id": "{assistant_id}"}),
    Route("GET", f"{THREAD}/runs"),
    Route("GET", RUN),
    Route("GET", f"{RUN}/stream"),
    Route("POST", RUN, {"metadata": {"a": "b"}}),
    Route("POST", f"{RUN}/cancel"),
    Route("POST", f"{RUN}/submit_tool_outputs", {"tool_outputs": [{"tool_call_id": "c", "output": "x"}]}),
    Route("GET", f"{RUN}/steps"),
    Route("GET", f"{RUN}/steps/{{step_id}}"),
    Route("POST", "/chat/completions", {"model": "scripted", "messages": [MESSAGE]}),
    Route("POST", "/embeddings", {"model": "scripted", "input": "hello"}),
    Route("GET", "/models"),
    Route("GET", "/models/{model}"),
    Route("DELETE", "/models/{model}"),
    Route("POST", "/files", {"purpose": "assistants"}, form=True),
    Route("GET", "/files"),
    Route("GET", "/files/{file_id}"),
    Route("GET", "/files/{file_id}/content"),
    Route("DELETE", "/files/{file_id}"),
    Route("POST", "/fine_tuning/jobs", {"model": "scripted", "training_file": "{file_id}"}),
    Route("GET", "/fine_tuning/jobs"),
    Route("GET", JOB),
    Route("POST", f"{JOB}/cancel"),
    Route("POST", f"{JOB}/pause"),
    Route("POST", f"{JOB}/resume"),
    Route("GET", f"{JOB}/events"),
    Route("GET", f"{JOB}/checkpoints"),
    Route("POST", PERMISSIONS, {"project_ids": ["third"]}),
    Route("GET", PERMISSIONS),
    Route("DELETE", f"{PERMISSIONS}/{{permission_id}}"),
    Route("POST", "/fine_tuning/alpha/graders/validate", {"grader": GRADER}),
    Route("POST", "/fine_tuning/alpha/graders/run", {"grader": GRADER, "model_sample": "a"}),
]


def fill(route: Route, ids: dict[str, str]) -> tuple[str, dict[str, Any] | None]:
    """The route's path and body with the ids in their places; no body for routes that take none."""
    path, body = route.path, json.dumps(route.body)
    for name, id in ids.items():
        path, body = path.replace(f"{{{name}}}", id), body.replace(f"{{{name}}}", id)
    return path, json.loads(body) if route.method == "POST" and route.body else None
