"""Every route of the Assistants API with a body that is right but for its ids. For tests that try them all."""

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Route:
    method: str
    path: str
    body: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def __hash__(self) -> int:
        return hash(str(self))


MESSAGE = {"role": "user", "content": "hello"}
THREAD, RUN = "/threads/{thread_id}", "/threads/{thread_id}/runs/{run_id}"

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
]


def fill(route: Route, ids: dict[str, str]) -> tuple[str, dict[str, Any] | None]:
    """The route's path and body with the ids in their places; no body for routes that take none."""
    path, body = route.path, json.dumps(route.body)
    for name, id in ids.items():
        path, body = path.replace(f"{{{name}}}", id), body.replace(f"{{{name}}}", id)
    return path, json.loads(body) if route.method == "POST" and route.body else None
