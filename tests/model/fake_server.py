"""As much of OpenAI's wire as the class needs, scripted, on a real socket: chat, models, files and jobs.

    with FakeServer(["Paris.", Status(500), Broken("Par")]) as server: ...

Unscripted chat answers say which model was asked what. Jobs succeed at the third look, with three metric events.
"""

import json
import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass
class Status:
    """An error answer."""

    status: int
    code: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    message: str = "scripted"


@dataclass
class Broken:
    """An answer whose connection breaks after this text."""

    text: str


Reply = str | Status | Broken


@dataclass
class Request:
    method: str
    path: str
    body: Any
    headers: dict[str, str]


class FakeServer:
    def __init__(self, replies: Iterable[Reply] = (), *, context_window: int = 4096) -> None:
        self.replies: deque[Reply] = deque(replies)
        self.requests: list[Request] = []
        self.files: dict[str, bytes] = {}
        self.jobs: list[dict[str, Any]] = []
        self.created: list[dict[str, Any]] = []  # the bodies jobs were created with
        self.outcome = "succeeded"
        self.losses = [3.0, 2.0, 1.0]
        self.context_window = context_window
        self.has_assistants = False
        self.key = ""  # when set, any other key is wrong
        self.lock = threading.Lock()

    def __enter__(self) -> Self:
        handler = type("Handler", (_Handler,), {"fake": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def chats(self) -> list[dict[str, Any]]:
        """The bodies of the chat requests."""
        return [request.body for request in self.requests if request.path == "/chat/completions"]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Clients are killed and leave early; that is what is tested."""


class _Handler(BaseHTTPRequestHandler):
    fake: FakeServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def _serve(self, method: str) -> None:
        content = self.rfile.read(int(self.headers.get("content-length") or 0))
        is_json = "json" in self.headers.get("content-type", "") and content
        body = json.loads(content) if is_json else content
        path = self.path.removeprefix("/v1").partition("?")[0]
        with self.fake.lock:
            self.fake.requests.append(Request(method, path, body, dict(self.headers)))
        if self.fake.key and self.headers.get("authorization") != f"Bearer {self.fake.key}":
            self._fail(Status(401, "invalid_api_key", message="Incorrect API key provided: wrong."))
        elif path == "/chat/completions":
            self._chat(body)
        else:
            self._resource(method, path, body)

    def _resource(self, method: str, path: str, body: Any) -> None:
        parts = path.strip("/").split("/")
        if parts == ["models"]:
            self._answer({"object": "list", "data": [_model("gpt-4o-mini"), _model("pocket")]})
        elif parts[0] == "models":
            ours = {"context_window": self.fake.context_window, "parameters": 1_000_000}
            self._answer({**_model(parts[1]), "hypotez": ours if parts[1] == "pocket" else {"alias_of": "pocket"}})
        elif parts == ["files"]:
            name = f"file-{len(self.fake.files) + 1}"
            self.fake.files[name] = body.split(b"\r\n\r\n")[-1].rsplit(b"\r\n--", 1)[0]
            self._answer(
                {
                    "id": name,
                    "object": "file",
                    "bytes": 1,
                    "created_at": 1,
                    "filename": "f",
                    "purpose": "fine-tune",
                    "status": "processed",
                }
            )
        elif parts == ["fine_tuning", "jobs"] and method == "POST":
            self._create_job(body)
        elif parts == ["fine_tuning", "jobs"]:
            self._answer({"object": "list", "data": self.fake.jobs[::-1], "has_more": False})
        elif parts[:2] == ["fine_tuning", "jobs"]:
            self._job(parts[2:])
        elif parts == ["threads"] and self.fake.has_assistants:
            self._answer(
                {"id": "thread_1", "object": "thread", "created_at": 1, "metadata": {}, "tool_resources": None}
            )
        elif parts == ["assistants"] and self.fake.has_assistants and method == "POST":
            self._answer({**body, "id": "asst_1", "object": "assistant", "created_at": 1})
        elif parts == ["assistants"] and self.fake.has_assistants:
            self._answer({"object": "list", "data": [], "has_more": False})
        else:
            self._fail(Status(404, message=f"Invalid URL ({method} /v1{path})"))

    def _create_job(self, body: dict[str, Any]) -> None:
        number = len(self.fake.jobs) + 1
        job = {
            "id": f"ftjob-{number}",
            "object": "fine_tuning.job",
            "created_at": 100,
            "finished_at": None,
            "error": None,
            "fine_tuned_model": None,
            "hyperparameters": {},
            "organization_id": "org-1",
            "result_files": [],
            "status": "queued",
            "trained_tokens": None,
            "seed": 1,
            "validation_file": None,
            **body,
            "model": "pocket",  # gpt-4o-mini is an alias here
        }
        self.fake.jobs.append(job)
        self.fake.created.append(body)
        self._answer(job)

    def _job(self, rest: list[str]) -> None:
        job = next((job for job in self.fake.jobs if job["id"] == rest[0]), None)
        if job is None:
            self._fail(Status(404, message=f"Could not find fine tune: {rest[0]}"))
        elif rest[1:] == ["events"]:
            events = [_event(i, loss) for i, loss in enumerate(self.fake.losses)] if job["status"] != "queued" else []
            self._answer({"object": "list", "data": events[::-1], "has_more": False})
        elif rest[1:] == ["cancel"]:
            job["status"] = "cancelled"
            self._answer(job)
        else:
            if job["status"] == "running":
                job["status"] = self.fake.outcome
                if self.fake.outcome == "succeeded":
                    job |= {"fine_tuned_model": f"ft:{job['model']}:1", "trained_tokens": 500, "finished_at": 110}
                else:
                    job["error"] = {"code": "x", "message": "the disk is full", "param": None}
            elif job["status"] == "queued":
                job["status"] = "running"
            self._answer(job)

    def _chat(self, body: dict[str, Any]) -> None:
        with self.fake.lock:
            reply = self.fake.replies.popleft() if self.fake.replies else None
        if reply is None:
            asked = body["messages"][-1]["content"]
            reply = f"{body['model']} heard: {asked if isinstance(asked, str) else 'an image'}"
        if isinstance(reply, Status):
            self._fail(reply)
        elif body.get("stream"):
            self._stream(reply, body["model"])
        elif isinstance(reply, Broken):
            self.close_connection = True
        else:
            message = {"role": "assistant", "content": reply}
            choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
            self._answer({**_completion(body["model"]), "choices": [choice], "usage": _USAGE})

    def _stream(self, reply: str | Broken, model: str) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        text = reply if isinstance(reply, str) else reply.text
        head = {**_completion(model), "object": "chat.completion.chunk"}
        try:
            for word in text.split(" "):
                delta = {"content": word if text.startswith(word) else f" {word}"}
                self._event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
            if isinstance(reply, Broken):
                self.close_connection = True
                self.connection.shutdown(2)
                return
            self._event({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
            self._event({**head, "choices": [], "usage": _USAGE})
            self._chunk(b"data: [DONE]\n\n")
            self._chunk(b"")
        except OSError:
            self.close_connection = True  # the client left early

    def _event(self, body: dict[str, Any]) -> None:
        self._chunk(f"data: {json.dumps(body)}\n\n".encode())

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def _fail(self, fault: Status) -> None:
        error = {"message": fault.message, "type": "invalid_request_error", "param": None, "code": fault.code}
        self._answer({"error": error}, fault.status, fault.headers)

    def _answer(self, body: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {
            "content-type": "application/json",
            "content-length": str(len(content)),
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


_USAGE = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}


def _completion(model: str) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": model}


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "fake"}


def _event(step: int, loss: float) -> dict[str, Any]:
    data = {"step": step + 1, "total_steps": 3, "train_loss": loss, "valid_loss": loss + 0.5}
    return {
        "id": f"ftevent-{step}",
        "object": "fine_tuning.job.event",
        "created_at": 100 + step,
        "level": "info",
        "message": f"Step {step + 1}/3: training loss={loss:.2f}",
        "type": "metrics",
        "data": data,
    }
