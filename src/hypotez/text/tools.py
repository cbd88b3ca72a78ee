"""How models write tool calls, and reading them out of generated text as it arrives.

| format  | a call looks like |
|---------|-------------------|
| Hermes  | ``<tool_call>\\n{"name": "f", "arguments": {...}}\\n</tool_call>`` (Qwen, Hermes, ours) |
| Llama 3 | ``{"name": "f", "parameters": {...}}``, the whole reply, several joined by ``;`` |
| Mistral | ``[TOOL_CALLS][{"name": "f", "arguments": {...}}]`` or ``[TOOL_CALLS]f[ARGS]{...}`` |

Knows nothing about tokens.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class ToolFormat(StrEnum):
    HERMES = "hermes"
    LLAMA3 = "llama3"
    MISTRAL = "mistral"

    @classmethod
    def of(cls, template: str) -> "ToolFormat":
        """The format a chat template teaches; Hermes where it teaches none."""
        if "<tool_call>" in template:
            return cls.HERMES
        if "[TOOL_CALLS]" in template:
            return cls.MISTRAL
        return cls.LLAMA3 if "<|python_tag|>" in template or '"parameters"' in template else cls.HERMES

    @property
    def start(self) -> str:
        """The text that opens a call; Llama's JSON has none of its own."""
        return {"hermes": "<tool_call>", "llama3": "<|python_tag|>", "mistral": "[TOOL_CALLS]"}[self.value]


@dataclass(frozen=True, slots=True)
class Call:
    name: str
    arguments: str  # JSON text, as on the wire


class ToolCalls:
    """Splits a reply into ordinary text and calls. What turns out not to be a call is given back as text."""

    def __init__(self, form: ToolFormat, names: Collection[str]) -> None:
        self._form = form
        self._names = names
        self._held = ""
        self._inside = False
        self._begun = False  # has ordinary text been seen yet? Llama's bare JSON only counts as the whole reply
        self._any = False

    def push(self, text: str) -> tuple[str, list[Call]]:
        """Text that is certainly not part of a call, and the calls completed by it."""
        self._held += text
        if not self._inside:
            return self._outside()
        return "", self._complete()

    def flush(self) -> tuple[str, list[Call]]:
        """The end of the reply: a call that never closed is still one if its JSON is whole."""
        calls = self._read(self._held) if self._inside else []
        rest = "" if calls or (self._any and not self._held.strip()) else self._held
        self._held, self._inside = "", False
        return rest, calls

    def _outside(self) -> tuple[str, list[Call]]:
        start = self._form.start
        at = self._held.find(start)
        if at < 0 and self._form is ToolFormat.LLAMA3 and not self._begun and self._held.lstrip().startswith("{"):
            at = 0
        if at >= 0:
            before, self._held = self._held[:at], self._held[at:]
            self._inside = True
            calls = self._complete()
            return before.rstrip() if not self._begun or calls else before, calls
        keep = partial_suffix(self._held, start)
        if self._any or not self._begun:  # blank text around calls is layout, not an answer
            stripped = self._held[: len(self._held) - keep]
            if not stripped.strip():
                return "", []
        out, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        self._begun = self._begun or bool(out.strip())
        return out, []

    def _complete(self) -> list[Call]:
        """Only Hermes closes a call before the reply ends; the others are read by ``flush``."""
        calls: list[Call] = []
        while self._form is ToolFormat.HERMES and self._inside and "</tool_call>" in self._held:
            body, rest = self._held.split("</tool_call>", 1)
            found = self._read(body)
            if not found:
                break
            calls += found
            self._any = True
            self._held = rest.lstrip()
            self._inside = self._held.startswith(self._form.start)
        return calls

    def _read(self, body: str) -> list[Call]:
        body = body.strip()
        body = body.removeprefix(self._form.start).strip()
        if self._form is ToolFormat.MISTRAL and not body.startswith("["):
            found = [_named(piece) for piece in body.split(self._form.start)]
        else:
            found = [_call(value) for value in _values(body)]
        calls = [call for call in found if call is not None]
        known = [call for call in calls if call.name in self._names]
        return known if len(known) == len(found) else []


def partial_suffix(text: str, marker: str) -> int:
    """How many characters at the end of ``text`` may be the beginning of ``marker``."""
    for size in range(min(len(marker) - 1, len(text)), 0, -1):
        if text.endswith(marker[:size]):
            return size
    return 0


def _values(body: str) -> list[Any]:
    """JSON values one after another, separated by blanks, ``;`` or nothing; empty when any part is not JSON."""
    values: list[Any] = []
    decoder = json.JSONDecoder(strict=False)
    while body := body.strip(" \n\r\t;"):
        try:
            value, end = decoder.raw_decode(body)
        except (ValueError, RecursionError):
            return []
        values += value if isinstance(value, list) else [value]
        body = body[end:]
    return values


def _call(value: Any) -> Call | None:
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return None
    arguments = value.get("arguments", value.get("parameters", {}))
    if isinstance(arguments, str):
        return Call(value["name"], arguments)
    return Call(value["name"], json.dumps(arguments, ensure_ascii=False))


def _named(piece: str) -> Call | None:
    name, _, arguments = piece.strip().partition("[ARGS]")
    try:
        return Call(name.strip(), json.dumps(json.loads(arguments), ensure_ascii=False))
    except (ValueError, RecursionError):
        return None
