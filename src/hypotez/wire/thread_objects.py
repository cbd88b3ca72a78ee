"""Assistants, threads, messages, runs and run steps as the API returns them, from what was asked. No I/O.

Every function returns a new JSON dictionary with every field of OpenAI's object, absent values as null.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from hypotez.wire.thread_requests import CreateMessage

Json = dict[str, Any]
RUN_SECONDS = 600  # OpenAI's life of a run


def assistant_object(id: str, now: int, given: Mapping[str, Any]) -> Json:
    """``given`` is the body as the client set it."""
    fields: Json = {
        "name": None,
        "description": None,
        "instructions": None,
        "tools": [],
        "tool_resources": {},
        "metadata": {},
        "temperature": 1.0,
        "top_p": 1.0,
        "response_format": "auto",
    }
    return {"id": id, "object": "assistant", "created_at": now, **fields, **assistant_changes(given)}


def assistant_changes(given: Mapping[str, Any]) -> Json:
    """The given fields with null read as OpenAI reads it: back to the default."""
    defaults = {"temperature": 1.0, "top_p": 1.0, "response_format": "auto", "tools": [], "metadata": {}}
    changed = {name: defaults.get(name) if value is None else value for name, value in given.items()}
    if "tool_resources" in changed:
        changed["tool_resources"] = changed["tool_resources"] or {}
    return changed


def thread_object(id: str, now: int, metadata: Json | None = None, tool_resources: Json | None = None) -> Json:
    return {
        "id": id,
        "object": "thread",
        "created_at": now,
        "metadata": metadata or {},
        "tool_resources": tool_resources or {},
    }


def message_object(id: str, thread_id: str, now: int, request: CreateMessage) -> Json:
    """A message that a client wrote: complete from the start."""
    attachments = [attachment.model_dump(exclude_unset=True) for attachment in request.attachments or []]
    body = _message(id, thread_id, now, request.role)
    return {
        **body,
        "status": "completed",
        "completed_at": now,
        "content": request.parts(),
        "attachments": attachments,
        "metadata": request.metadata or {},
    }


def reply_object(id: str, run: Json, now: int) -> Json:
    """The message a run is about to write."""
    body = _message(id, run["thread_id"], now, "assistant")
    return {**body, "assistant_id": run["assistant_id"], "run_id": run["id"], "status": "in_progress"}


def _message(id: str, thread_id: str, now: int, role: str) -> Json:
    return {
        "id": id,
        "object": "thread.message",
        "created_at": now,
        "assistant_id": None,
        "thread_id": thread_id,
        "run_id": None,
        "status": "in_progress",
        "incomplete_details": None,
        "incomplete_at": None,
        "completed_at": None,
        "role": role,
        "content": [],
        "attachments": [],
        "metadata": {},
    }


def run_object(
    id: str, thread_id: str, now: int, assistant: Json, given: Mapping[str, Any], *, seconds: int = RUN_SECONDS
) -> Json:
    """A queued run of ``assistant``; what ``given`` (the request) sets wins over the assistant's own settings."""

    def choose(name: str, default: Any) -> Any:
        for source in (given, assistant):
            if source.get(name) is not None:
                return source[name]
        return default

    body: Json = {
        "id": id,
        "object": "thread.run",
        "created_at": now,
        "assistant_id": assistant["id"],
        "thread_id": thread_id,
        "status": "queued",
        "started_at": None,
        "expires_at": now + seconds,
        "cancelled_at": None,
        "failed_at": None,
        "completed_at": None,
        "required_action": None,
        "last_error": None,
        "incomplete_details": None,
        "model": choose("model", ""),
        "instructions": _instructions(choose("instructions", ""), given.get("additional_instructions")),
        "tools": choose("tools", []),
        "tool_resources": {},
        "metadata": given.get("metadata") or {},
        "usage": None,
        "temperature": choose("temperature", 1.0),
        "top_p": choose("top_p", 1.0),
        "max_prompt_tokens": given.get("max_prompt_tokens"),
        "max_completion_tokens": given.get("max_completion_tokens"),
        "truncation_strategy": {"last_messages": None, **(given.get("truncation_strategy") or {"type": "auto"})},
        "tool_choice": given["tool_choice"] if given.get("tool_choice") is not None else "auto",
        "parallel_tool_calls": given.get("parallel_tool_calls") is not False,
        "response_format": choose("response_format", "auto"),
    }
    effort = choose("reasoning_effort", None)
    return body if effort is None else {**body, "reasoning_effort": effort}


def _instructions(base: str, additional: str | None) -> str:
    return "\n\n".join(part for part in (base, additional) if part)


def step_object(id: str, run: Json, now: int, details: Json) -> Json:
    return {
        "id": id,
        "object": "thread.run.step",
        "created_at": now,
        "run_id": run["id"],
        "assistant_id": run["assistant_id"],
        "thread_id": run["thread_id"],
        "type": details["type"],
        "status": "in_progress",
        "cancelled_at": None,
        "completed_at": None,
        "expired_at": None,
        "failed_at": None,
        "last_error": None,
        "step_details": details,
        "metadata": {},
        "usage": None,
    }


def required_action(calls: Sequence[Json]) -> Json:
    """``calls`` are chat tool calls: ``{id, type, function: {name, arguments}}``."""
    return {"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": list(calls)}}


def deleted(body: Json) -> Json:
    return {"id": body["id"], "object": f"{body['object']}.deleted", "deleted": True}
