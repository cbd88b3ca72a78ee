"""Chat completion chunks put together: a whole answer from its pieces. Pure.

Nothing an upstream says is lost: fields that we do not know are kept, texts among them are joined.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(slots=True)
class Gathered:
    """The answer so far. ``add`` each chunk, then take ``completion(head)`` or ``message(index)``."""

    choices: dict[int, Json] = field(default_factory=dict)
    usage: Json | None = None
    rest: Json = field(default_factory=dict)

    def add(self, chunk: Mapping[str, Any]) -> None:
        for piece in chunk.get("choices") or ():
            self._add_choice(piece)
        self.usage = chunk.get("usage") or self.usage
        self.rest |= {key: value for key, value in chunk.items() if key not in ("choices", "usage", "object")}

    def message(self, index: int = 0) -> Json:
        """The assistant's message of one choice."""
        delta = dict(self.choices[index]["message"])
        content, refusal = delta.pop("content", None), delta.pop("refusal", None)
        calls = delta.pop("tool_calls", None)
        empty_is_null = calls is not None or refusal is not None or "function_call" in delta
        message = {"role": "assistant", "content": (content or None) if empty_is_null else content or ""}
        message["refusal"] = refusal
        message |= {key: value for key, value in delta.items() if key != "role"}
        if calls is not None:
            message["tool_calls"] = [
                {key: value for key, value in calls[number].items() if key != "index"} for number in sorted(calls)
            ]
        return message

    def finish_reason(self, index: int = 0) -> str:
        return self.choices[index].get("finish_reason") or "stop"

    def completion(self, head: Json) -> Json:
        """The ``chat.completion`` body; ``head`` gives id, created and model unless the backend gave its own."""
        choices = [
            {
                "index": index,
                "message": self.message(index),
                "logprobs": self.choices[index].get("logprobs"),
                "finish_reason": self.finish_reason(index),
            }
            for index in sorted(self.choices)
        ]
        body = {**head, **self.rest, "object": "chat.completion", "choices": choices}
        return {**body, "usage": self.usage} if self.usage is not None else body

    def _add_choice(self, piece: Mapping[str, Any]) -> None:
        choice = self.choices.setdefault(piece.get("index", 0), {"message": {}, "logprobs": None})
        for key, value in (piece.get("delta") or {}).items():
            _join(choice["message"], key, value)
        if piece.get("finish_reason") is not None:
            choice["finish_reason"] = piece["finish_reason"]
        if piece.get("logprobs"):
            kept = choice["logprobs"] = choice["logprobs"] or {"content": None, "refusal": None}
            for key, tokens in piece["logprobs"].items():
                if tokens is not None:
                    kept[key] = [*(kept.get(key) or ()), *tokens]


def _join(into: Json, key: str, value: Any) -> None:
    """Texts grow, calls are joined by their index, everything else is replaced."""
    if value is None:
        into.setdefault(key, None)
    elif key == "tool_calls":
        calls = into.get(key)
        if calls is None:
            calls = into[key] = {}
        for piece in value:
            call = calls.setdefault(piece.get("index", 0), {})
            for name, part in piece.items():
                _join(call, name, part)
    elif isinstance(value, dict) and isinstance(into.get(key), dict):
        for name, part in value.items():
            _join(into[key], name, part)
    elif isinstance(value, str) and isinstance(into.get(key), str) and key not in ("role", "id", "type", "name"):
        into[key] += value
    elif isinstance(value, dict):
        into[key] = dict(value)
    else:
        into[key] = value
