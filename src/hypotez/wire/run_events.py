"""Which events a run emits, in which order: chat chunks in, (event type, body) pairs out. No I/O, no clock.

A ``Turn`` is one answer of the model. It becomes at most two run steps: the text (``message_creation``), then the
function calls (``tool_calls``). Text is streamed as it comes, and so are calls, except after text: their step may
only begin when the message is complete, and the message is complete only with the turn (it is stored in the same
transaction as the run's next state), so their events wait in ``finish``.

    thread.run.step.created, .in_progress, thread.message.created, .in_progress, thread.message.delta*,
    thread.message.completed, thread.run.step.completed, thread.run.completed
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hypotez.wire.thread_objects import reply_object, step_object
from hypotez.wire.thread_requests import text_part

Json = dict[str, Any]
Pair = tuple[str, Json]

# after one of these nothing follows until the client does something
LAST = frozenset(f"thread.run.{end}" for end in ("completed", "incomplete", "failed", "cancelled", "expired"))
PAUSE = "thread.run.requires_action"
# what a broken-off run tells about the message it was writing
REASONS = {"cancelled": "run_cancelled", "expired": "run_expired", "failed": "run_failed", "incomplete": "max_tokens"}


def run_event(run: Json) -> Pair:
    return f"thread.run.{run['status']}", run


def message_event(message: Json) -> Pair:
    return f"thread.message.{message['status']}", message


def step_event(step: Json) -> Pair:
    return f"thread.run.step.{step['status']}", step


def created(run: Json) -> list[Pair]:
    """What a new run's stream begins with."""
    return [("thread.run.created", run), run_event(run)]


@dataclass
class Turn:
    """One answer of the model, gathered and told. ``now`` gives unix seconds, ``new_id`` an id for a prefix."""

    run: Json
    now: Callable[[], int]
    new_id: Callable[[str], str]
    message: Json | None = None
    message_step: Json | None = None
    tool_step: Json | None = None
    calls: list[Json] = field(default_factory=list)
    finish_reason: str | None = None
    usage: Json | None = None
    _text: list[str] = field(default_factory=list)
    _refusal: list[str] = field(default_factory=list)
    _held: list[Pair] = field(default_factory=list)

    def feed(self, chunk: Json) -> list[Pair]:
        """The events of one ``chat.completion.chunk``; only its first choice is read."""
        self.usage = chunk.get("usage") or self.usage
        pairs: list[Pair] = []
        for choice in chunk.get("choices") or []:
            if choice.get("index", 0) != 0:
                continue
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
            delta = choice.get("delta") or {}
            if delta.get("content"):
                pairs += self._say("text", delta["content"])
            if delta.get("refusal"):
                pairs += self._say("refusal", delta["refusal"])
            for call in delta.get("tool_calls") or []:
                pairs += self._call(call)
        return pairs

    def open_message(self) -> list[Pair]:
        """Begin the message, if it has not begun: also how an empty answer becomes an empty message."""
        if self.message is not None:
            return []
        self.message = reply_object(self.new_id("msg"), self.run, self.now())
        details = {"type": "message_creation", "message_creation": {"message_id": self.message["id"]}}
        self.message_step = step_object(self.new_id("step"), self.run, self.now(), details)
        return [
            *_step_opened(self.message_step),
            ("thread.message.created", self.message),
            message_event(self.message),
        ]

    def finish(self) -> list[Pair]:
        """The turn ended as it should: close the message; the calls, if any, wait for their outputs."""
        pairs = [] if self.calls else self.open_message()
        pairs += self._close_message("completed", None)
        pairs += self._held
        if self.tool_step is not None:
            details = {"type": "tool_calls", "tool_calls": [_with_output(call, None) for call in self.calls]}
            self.tool_step = {**self.tool_step, "step_details": details}
        return pairs

    def stop(self, status: str, error: Json | None = None, reason: str | None = None) -> list[Pair]:
        """The turn was broken off and its run ends as ``status``. Text said so far stays as an incomplete message.

        An unfinished call is nobody's to answer: its step ends without calls. ``reason`` overrides the message's.
        """
        pairs = self._close_message(status, error, reason or REASONS[status])
        if self.tool_step is not None and not self._held:
            self.tool_step = closed_step(self.tool_step, status, self.now(), error=error, usage=self.usage)
            pairs.append(step_event(self.tool_step))
        elif self._held:
            self.tool_step = None  # never told, so it never was
        return pairs

    def _say(self, kind: str, value: str) -> list[Pair]:
        pairs = self.open_message()
        assert self.message is not None
        said = self._text if kind == "text" else self._refusal
        part: Json = {"index": 0 if kind == "text" or not self._text else 1, "type": kind}
        if kind == "refusal":
            part["refusal"] = value
        else:
            part["text"] = {"value": value} if said else {"value": value, "annotations": []}
        said.append(value)
        body = {"id": self.message["id"], "object": "thread.message.delta", "delta": {"content": [part]}}
        return [*pairs, ("thread.message.delta", body)]

    def _call(self, delta: Json) -> list[Pair]:
        pairs: list[Pair] = []
        if self.tool_step is None:
            details: Json = {"type": "tool_calls", "tool_calls": []}
            self.tool_step = step_object(self.new_id("step"), self.run, self.now(), details)
            pairs += _step_opened(self.tool_step)
        index, function = delta.get("index", len(self.calls)), delta.get("function") or {}
        arguments = function.get("arguments") or ""
        if index >= len(self.calls):
            index = len(self.calls)
            call_id = delta.get("id") or self.new_id("call")
            told: Json = {"name": function.get("name") or "", "arguments": arguments}
            self.calls.append({"id": call_id, "type": "function", "function": dict(told)})
            part = {"index": index, "id": call_id, "type": "function", "function": {**told, "output": None}}
        else:
            self.calls[index]["function"]["arguments"] += arguments
            part = {"index": index, "type": "function", "function": {"arguments": arguments}}
        delta_body = {
            "id": self.tool_step["id"],
            "object": "thread.run.step.delta",
            "delta": {"step_details": {"type": "tool_calls", "tool_calls": [part]}},
        }
        pairs.append(("thread.run.step.delta", delta_body))
        if self.message is None:
            return pairs
        self._held += pairs
        return []

    def _close_message(self, status: str, error: Json | None, reason: str | None = None) -> list[Pair]:
        if self.message is None or self.message_step is None:
            return []
        content: list[Json] = [text_part("".join(self._text))] if self._text or not self._refusal else []
        if self._refusal:
            content.append({"type": "refusal", "refusal": "".join(self._refusal)})
        now = self.now()
        if reason is None:
            closed: Json = {"status": "completed", "completed_at": now}
        else:
            closed = {"status": "incomplete", "incomplete_at": now, "incomplete_details": {"reason": reason}}
        self.message = {**self.message, **closed, "content": content}
        # the turn is paid once: by its last step
        usage = NOTHING if self.tool_step is not None else self.usage
        self.message_step = closed_step(self.message_step, status, now, error=error, usage=usage)
        return [message_event(self.message), step_event(self.message_step)]


NOTHING = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
# a step has no state "incomplete": what was written of it is there
STEP_ENDS = {
    "completed": ("completed", "completed_at"),
    "incomplete": ("completed", "completed_at"),
    "failed": ("failed", "failed_at"),
    "cancelled": ("cancelled", "cancelled_at"),
    "expired": ("expired", "expired_at"),
}


def closed_step(step: Json, ended: str, now: int, *, error: Json | None = None, usage: Json | None = None) -> Json:
    """The step as it is when its run ``ended`` (or, for ``completed``, went on)."""
    status, stamp = STEP_ENDS[ended]
    last_error = error if error is None or error["code"] != "invalid_prompt" else {**error, "code": "server_error"}
    return {**step, "status": status, stamp: now, "last_error": last_error, "usage": counted(usage)}


def counted(*usages: Json | None) -> Json:
    """The sum of usages, in the three numbers of a run."""
    return {name: sum((usage or NOTHING).get(name) or 0 for usage in usages) for name in NOTHING}


def answered_step(step: Json, outputs: dict[str, str], now: int, usage: Json | None) -> Json:
    """The ``tool_calls`` step with the client's outputs by call id, completed."""
    calls = [_with_output(call, outputs.get(call["id"])) for call in step["step_details"]["tool_calls"]]
    return closed_step(
        {**step, "step_details": {"type": "tool_calls", "tool_calls": calls}}, "completed", now, usage=usage
    )


def abandoned(events: Iterable[Pair], now: int, error: Json) -> list[Pair]:
    """Events that close what a dead server left open: the run's events so far in, the closing ones out.

    Nothing of it was stored: a message and a step exist in the store only once they are complete.
    """
    steps: dict[str, Json] = {}
    messages: dict[str, Json] = {}
    for type_, body in events:
        if type_.startswith("thread.run.step."):
            _track(steps, type_, body)
        elif type_.startswith("thread.message."):
            _track(messages, type_, body)
    lost = {"status": "incomplete", "incomplete_at": now, "incomplete_details": {"reason": "run_failed"}}
    pairs = [message_event({**message, **lost}) for message in messages.values()]
    return pairs + [step_event(closed_step(step, "failed", now, error=error)) for step in steps.values()]


def _track(open_: dict[str, Json], type_: str, body: Json) -> None:
    if type_.endswith(".created"):
        open_[body["id"]] = body
    elif not type_.endswith((".delta", ".in_progress")):
        open_.pop(body["id"], None)


def merged(pairs: Sequence[Pair]) -> list[Pair]:
    """Neighbouring deltas of one message made one: fewer rows and writes, the same text."""
    result: list[Pair] = []
    for type_, body in pairs:
        if result and type_ == result[-1][0] == "thread.message.delta" and _joins(result[-1][1], body):
            result[-1] = (type_, _joined(result[-1][1], body))
        else:
            result.append((type_, body))
    return result


def _joins(left: Json, right: Json) -> bool:
    first, second = left["delta"]["content"][0], right["delta"]["content"][0]
    return bool(left["id"] == right["id"] and first["type"] == second["type"] == "text")


def _joined(left: Json, right: Json) -> Json:
    first, second = left["delta"]["content"][0], right["delta"]["content"][0]
    text = {**first["text"], "value": first["text"]["value"] + second["text"]["value"]}
    return {**left, "delta": {"content": [{**first, "text": text}]}}


def _step_opened(step: Json) -> list[Pair]:
    return [("thread.run.step.created", step), step_event(step)]


def _with_output(call: Json, output: str | None) -> Json:
    return {**call, "function": {**call["function"], "output": output}}
