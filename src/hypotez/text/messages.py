"""OpenAI's message dictionaries made plain enough for any chat template. Pure functions.

A template wants ``content`` as a string, arguments of a tool call as a mapping, and roles it knows.
"""

import contextlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from hypotez.errors import InvalidRequest

Json = dict[str, Any]

ROLES = {"developer": "system", "function": "tool"}


def plain(message: Mapping[str, Any], control: Collection[str]) -> Json:
    """One message as templates expect it; strings in ``control`` lose their power over the conversation."""
    role = str(message.get("role"))
    result: Json = {"role": ROLES.get(role, role), "content": defused(text_of(message), control)}
    for key in ("name", "tool_call_id", "reasoning_content", "weight"):
        if message.get(key) is not None:
            result[key] = message[key]
    calls = message.get("tool_calls")
    if not calls and message.get("function_call"):
        calls = [{"id": "call_0", "type": "function", "function": message["function_call"]}]
    if calls:
        result["tool_calls"] = [_call(call) for call in calls]
    return result


def text_of(message: Mapping[str, Any]) -> str:
    """The text of a message whose content is a string, a list of parts, or missing."""
    content = message.get("content")
    if content is None:
        return str(message.get("refusal") or "")
    if isinstance(content, str):
        return content
    return "".join(_part(part) for part in content)


def _part(part: Mapping[str, Any]) -> str:
    for kind in ("text", "refusal"):
        if part.get("type") == kind:
            text = part[kind]
            return text if isinstance(text, str) else str(text.get("value", ""))
    raise InvalidRequest(f"A content part of type '{part.get('type')}' cannot be turned into text.", param="messages")


def defused(text: str, control: Collection[str]) -> str:
    """Break every control token written out in ``text``, so that a user or a tool cannot forge a turn."""
    if not control or not any(token in text for token in control):
        return text
    pattern = "|".join(re.escape(token) for token in sorted(control, key=len, reverse=True))
    # A zero-width space after the first character: reads the same, tokenises as ordinary text.
    return re.sub(pattern, lambda found: f"{found[0][0]}\u200b{found[0][1:]}", text)


def _call(call: Mapping[str, Any]) -> Json:
    function = call.get("function") or call.get("custom") or {}
    arguments = function.get("arguments", function.get("input", ""))
    if isinstance(arguments, str):
        # A model's broken JSON goes back to it as it was written.
        with contextlib.suppress(ValueError, RecursionError):
            arguments = json.loads(arguments or "{}")
    return {
        "id": call.get("id", ""),
        "type": "function",
        "function": {"name": function.get("name", ""), "arguments": arguments},
    }


def merged(messages: Sequence[Json]) -> list[Json]:
    """For templates without a system role or with strict turns: system text joins the first user turn,
    neighbours of one role become one message."""
    system = "\n\n".join(m["content"] for m in messages if m["role"] == "system")
    result: list[Json] = []
    for message in messages:
        if message["role"] == "system":
            continue
        last = result[-1] if result else None
        if last and last["role"] == message["role"] and not {"tool_calls", "tool_call_id"} & (last.keys() | message):
            result[-1] = {**last, "content": f"{last['content']}\n\n{message['content']}"}
        else:
            result.append(message)
    if not system:
        return result
    if result and result[0]["role"] == "user":
        return [{**result[0], "content": f"{system}\n\n{result[0]['content']}"}, *result[1:]]
    return [{"role": "user", "content": system}, *result]
