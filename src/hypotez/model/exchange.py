"""One question and its answer: what goes over the wire, and what stands in the dialogue afterwards. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hypotez.data import tokens
from hypotez.errors import InvalidRequest

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion, ChatCompletionChunk

Json = dict[str, Any]

_REPLY_SHARE = 4  # a quarter of the context window is left for the reply
_LONGEST_REPLY = 4096  # tokens; beyond, the window is worth more to the history


@dataclass(slots=True)
class Said:
    """An answer as it grows."""

    text: str = ""
    model: str | None = None
    finish_reason: str | None = None
    usage: Json | None = None
    whole: bool = False

    def add(self, chunk: "ChatCompletionChunk") -> str:
        """Take in a chunk; the text that is new."""
        self.model = chunk.model or self.model
        if chunk.usage:
            self.usage = counts(chunk.usage)
        piece = ""
        for choice in chunk.choices[:1]:
            piece = choice.delta.content or choice.delta.refusal or ""
            self.finish_reason = choice.finish_reason or self.finish_reason
        self.text += piece
        return piece


def said(answer: "ChatCompletion") -> Said:
    """A whole answer. A server that gives no choice at all has broken the contract."""
    if not answer.choices:
        raise InvalidRequest("The server answered without a choice; is it a chat completions server?")
    message = answer.choices[0].message
    return Said(
        text=message.content or message.refusal or "",
        model=answer.model,
        finish_reason=answer.choices[0].finish_reason,
        usage=counts(answer.usage) if answer.usage else None,
        whole=True,
    )


def counts(usage: Any) -> Json:
    """The three numbers everybody reads."""
    return {key: getattr(usage, key) for key in ("prompt_tokens", "completion_tokens", "total_tokens")}


@dataclass(slots=True)
class Exchange:
    """A question on its way. ``system`` of ``""`` means: none, whatever the default is."""

    message: str
    system: str
    before: list[Json] = field(default_factory=list)  # earlier messages that are sent along
    asked: str = field(default_factory=lambda: now())

    @property
    def messages(self) -> list[Json]:
        opening = [{"role": "system", "content": self.system}] if self.system else []
        return [*opening, *self.before, {"role": "user", "content": self.message}]

    def entries(self, reply: Said, sentiment: str) -> list[Json]:
        """System (if any), user and assistant, as the dialogue keeps them."""
        answer: Json = {"role": "assistant", "content": reply.text, "sentiment": sentiment, "time": now()}
        if reply.model:
            answer["model"] = reply.model
        if reply.usage:
            answer["usage"] = reply.usage
        if reply.finish_reason not in (None, "stop"):
            answer["finish_reason"] = reply.finish_reason
        if self.before:
            answer["history"] = len(self.before)
        if not reply.whole:
            answer["partial"] = True
        opening = [{"role": "system", "content": self.system, "time": self.asked}] if self.system else []
        return [*opening, {"role": "user", "content": self.message, "time": self.asked}, answer]


def begin(message: str, system: str | None, default: str | None, attempts: int) -> Exchange:
    """A checked question. ``None`` for ``system`` takes the default, ``""`` takes none."""
    if not isinstance(message, str):
        raise InvalidRequest(f"The message must be text, not {type(message).__name__}.", param="message")
    if not message.strip():
        raise InvalidRequest("The message is empty.", param="message")
    for text, param in ((message, "message"), (system or default or "", "system_instruction")):
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            what = f"The {param.replace('_', ' ')} holds bytes that are not UTF-8: was it read in another encoding?"
            raise InvalidRequest(what, param=param)
    if attempts < 1:
        raise InvalidRequest(f"attempts must be at least 1, not {attempts}.", param="attempts")
    return Exchange(message, (default if system is None else system) or "")


def earlier(dialogue: Sequence[Mapping[str, Any]]) -> list[Json]:
    """What was said, as messages: user and assistant only, broken-off answers left out with their questions."""
    messages: list[Json] = []
    for entry in dialogue:
        if entry.get("partial"):
            if messages and messages[-1]["role"] == "user":
                messages.pop()
        elif entry["role"] in ("user", "assistant"):
            messages.append({"role": entry["role"], "content": entry["content"]})
    return messages


def cut(messages: list[Json], exchange: Exchange, window: int, reply: int | None = None) -> list[Json]:
    """The latest of ``messages`` that fit a context window of so many tokens beside the question and the reply.

    Exchanges leave whole, the oldest first, so that what stays begins with a question.
    """
    budget = window - (reply or min(_LONGEST_REPLY, window // _REPLY_SHARE)) - tokens.of_messages(exchange.messages)
    kept = len(messages)
    while kept > 0:
        budget -= tokens.of_message(messages[kept - 1])
        if budget < 0:
            break
        kept -= 1
    while kept < len(messages) and messages[kept]["role"] != "user":
        kept += 1
    return messages[kept:]


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
