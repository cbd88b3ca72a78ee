"""The messages of a thread as one chat request: what a run asks the model. Pure; files come by a function.

What does not fit is left out of the middle, as OpenAI's ``truncation_strategy: auto`` does: the instructions, what
this run itself already said and did, the newest messages and, if there is room, the thread's first one stay.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hypotez.errors import HypotezError

Json = dict[str, Any]

PER_MESSAGE = 4  # tokens that a message costs beside its text
PER_IMAGE = 765  # tokens of a 1024x1024 image in OpenAI's own account
REPLY = 1024  # tokens left free for the reply where the run sets no limit


class OutOfTokens(HypotezError):
    """The run may not spend what the next turn needs. ``reason`` is the run's ``incomplete_details.reason``."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The run has used up its {reason}.")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Thread:
    """What a run knows when its turn begins. Bodies as the API returns them, oldest first."""

    run: Json
    history: Sequence[Json]  # messages that are not this run's
    steps: Sequence[Json] = ()  # this run's steps so far
    replies: Mapping[str, Json] = field(default_factory=dict)  # this run's messages by id
    spent: Json | None = None  # usage of this run's turns so far
    earlier: Mapping[str, Sequence[Json]] = field(default_factory=dict)  # steps of the runs that wrote in the history


def chat_request(thread: Thread, image: Callable[[str], str], window: int | None = None) -> Json:
    """The body for ``Backend.chat``.

    ``image`` turns a file id into a URL a model can read. ``window`` is the model's context in tokens; None: unknown.
    Raises ``OutOfTokens`` when the run's own limits leave no room for a turn.
    """
    run = thread.run
    system = [{"role": "system", "content": run["instructions"]}] if run["instructions"] else []
    own = _own(thread.steps, thread.replies, image)
    around = {id: steps for run_steps in thread.earlier.values() for id, steps in _around(run_steps).items()}
    spent = thread.spent or {"prompt_tokens": 0, "completion_tokens": 0}
    completion = _left(run["max_completion_tokens"], spent["completion_tokens"], "max_completion_tokens")
    prompt = _left(run["max_prompt_tokens"], spent["prompt_tokens"], "max_prompt_tokens")
    fixed = sum(map(estimate, [*system, *own]))
    history = _recent(thread)
    room = _room(window, completion, prompt)
    costs = [estimate(message) + _cost_of_calls(around.get(message["id"], ())) for message in history]
    kept = _fitting(history, costs, None if room is None else room - fixed, room_for_last=prompt is None)
    if prompt is not None and (fixed > prompt or (history and not kept and not own)):
        raise OutOfTokens("max_prompt_tokens")
    told = [said for message in kept for said in _told(message, around.get(message["id"]), image)]
    body: Json = {"model": run["model"], "messages": [*system, *told, *own]}
    return {**body, **_options(run, first_turn=not own, completion=completion)}


def estimate(message: Json) -> int:
    """Tokens of a thread's or a chat's message, roughly: four bytes of UTF-8 make one."""
    content = message.get("content") or ""
    parts = [content] if isinstance(content, str) else content
    tokens = PER_MESSAGE
    for part in parts:
        text = part if isinstance(part, str) else _text(part)
        tokens += PER_IMAGE if text is None else -(-len(text.encode(errors="replace")) // 4)
    for call in message.get("tool_calls") or []:
        tokens += PER_MESSAGE + len(call["function"]["name"] + call["function"]["arguments"]) // 4
    return tokens


def _left(limit: int | None, spent: int, reason: str) -> int | None:
    if limit is None:
        return None
    if spent >= limit:
        raise OutOfTokens(reason)
    return limit - spent


def _room(window: int | None, completion: int | None, prompt: int | None) -> int | None:
    rooms = [] if prompt is None else [prompt]
    if window is not None:
        rooms.append(max(window - min(completion or REPLY, window // 2), 0))
    return min(rooms, default=None)


def _recent(thread: Thread) -> Sequence[Json]:
    strategy = thread.run["truncation_strategy"] or {"type": "auto"}
    last = strategy.get("last_messages")
    if strategy["type"] == "last_messages" and last:
        return thread.history[-last:]
    return thread.history


def _fitting(history: Sequence[Json], costs: Sequence[int], room: int | None, *, room_for_last: bool) -> list[Json]:
    """The newest messages within ``room`` tokens, and the oldest if it is cheap. The last always stays if asked."""
    if room is None or not history or sum(costs) <= room:
        return list(history)
    keep_first = len(history) > 2 and costs[0] <= room // 4
    left = room - (costs[0] if keep_first else 0)
    start = len(history)
    while start > int(keep_first) and costs[start - 1] <= left:
        start -= 1
        left -= costs[start]
    if start == len(history) and room_for_last:
        start -= 1
    kept = list(history[start:])
    return [history[0], *kept] if keep_first and kept else kept


def _around(steps: Sequence[Json]) -> dict[str, list[Json]]:
    """A run's steps by the message they go with: calls before its first message, and after each one up to the next.

    So a call is never without its output, nor without the text of its turn, however the history is cut.
    """
    found: dict[str, list[Json]] = {}
    before: list[Json] = []
    last = before
    for step in steps:
        details = step["step_details"]
        if details["type"] == "message_creation":
            last = found[details["message_creation"]["message_id"]] = [*before, step]
            before = []
        elif _answered(step):
            last.append(step)
    return found


def _answered(step: Json) -> bool:
    calls = step["step_details"].get("tool_calls") or []
    return bool(calls) and all(c["type"] == "function" and c["function"].get("output") is not None for c in calls)


def _told(message: Json, steps: Sequence[Json] | None, image: Callable[[str], str]) -> list[Json]:
    """A message of the history and, if an earlier run wrote it, the calls around it."""
    return [_chat(message, image)] if steps is None else _own(steps, {message["id"]: message}, image)


def _cost_of_calls(steps: Sequence[Json]) -> int:
    calls = [step for step in steps if step["step_details"]["type"] == "tool_calls"]
    return sum(map(estimate, _own(calls, {}, lambda file_id: file_id)))


def _own(steps: Sequence[Json], replies: Mapping[str, Json], image: Callable[[str], str]) -> list[Json]:
    """What a run did: its text, its calls and their outputs. ``replies`` are its messages by id."""
    messages: list[Json] = []
    for step in steps:
        details = step["step_details"]
        if details["type"] == "message_creation":
            reply = replies.get(details["message_creation"]["message_id"])
            if reply is not None:
                messages.append(_chat(reply, image))
            continue
        calls = details["tool_calls"]
        asked = [
            {**call, "function": {name: call["function"][name] for name in ("name", "arguments")}} for call in calls
        ]
        # text and calls of one turn were one chat message
        said = messages.pop()["content"] if messages and messages[-1]["role"] == "assistant" else None
        messages.append({"role": "assistant", "content": said, "tool_calls": asked})
        for call in calls:
            output = call["function"]["output"]
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": output or ""})
    return messages


def _chat(message: Json, image: Callable[[str], str]) -> Json:
    parts = [_chat_part(part, image, message["role"]) for part in message["content"]]
    if len(parts) <= 1 and all(part["type"] == "text" for part in parts):
        return {"role": message["role"], "content": parts[0]["text"] if parts else ""}
    return {"role": message["role"], "content": parts}


def _chat_part(part: Json, image: Callable[[str], str], role: str) -> Json:
    text = _text(part)
    if text is not None:
        return {"type": "text", "text": text}
    if role == "assistant":  # the chat API takes images from users only
        return {"type": "text", "text": "[image]"}
    source = part[part["type"]]
    url = image(source["file_id"]) if part["type"] == "image_file" else source["url"]
    return {"type": "image_url", "image_url": {"url": url, "detail": source.get("detail") or "auto"}}


def _text(part: Json) -> str | None:
    """The text of a thread's or a chat's content part; None for an image."""
    if part["type"] == "text":
        text = part["text"]
        return str(text["value"]) if isinstance(text, dict) else str(text)
    return str(part["refusal"]) if part["type"] == "refusal" else None


def _options(run: Json, *, first_turn: bool, completion: int | None) -> Json:
    """Everything beside the messages. What the client left at the wire's default is not sent."""
    body: Json = {name: run[name] for name in ("temperature", "top_p") if run[name] not in (None, 1)}
    if completion is not None:
        body["max_completion_tokens"] = completion
    if run["response_format"] not in (None, "auto"):
        body["response_format"] = run["response_format"]
    if run.get("reasoning_effort"):
        body["reasoning_effort"] = run["reasoning_effort"]
    if not run["tools"]:
        return body
    body["tools"] = run["tools"]
    # a forced call is forced once: after its output the model must be free to answer
    if run["tool_choice"] == "none" or (first_turn and run["tool_choice"] not in (None, "auto")):
        body["tool_choice"] = run["tool_choice"]
    if run["parallel_tool_calls"] is False:
        body["parallel_tool_calls"] = False
    return body
