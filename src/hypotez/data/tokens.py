"""How many tokens a text will take, without a tokenizer: an estimate, good to about a fifth.

OpenAI's rule for a conversation: 3 per message, 3 for the reply's opening, 1 for a name, and the content.
"""

from collections.abc import Iterable, Mapping
from typing import Any

_IMAGE = 765  # a 1024 x 1024 image in four tiles
_PER_MESSAGE = 3
_PER_REPLY = 3


def of_text(text: str) -> int:
    """Latin text has about 4 letters to a token, Cyrillic and the like about 2.5, ideographs about 1."""
    ascii_letters = sum(c < "\x80" for c in text) if not text.isascii() else len(text)
    ideographs = 0 if text.isascii() else sum(c >= "\u2e80" for c in text)
    others = len(text) - ascii_letters - ideographs
    return round(ascii_letters / 4 + others / 2.5 + ideographs + 0.49)


def of_message(message: Mapping[str, Any]) -> int:
    content = message.get("content")
    total = _PER_MESSAGE + (1 if message.get("name") else 0)
    if isinstance(content, str):
        total += of_text(content)
    elif isinstance(content, list):
        total += sum(_of_part(part) for part in content if isinstance(part, dict))
    for call in message.get("tool_calls") or ():
        total += of_text(str(call))
    return total


def of_messages(messages: Iterable[Any]) -> int:
    return _PER_REPLY + sum(of_message(message) for message in messages if isinstance(message, Mapping))


def of_example(example: Mapping[str, Any]) -> int:
    """One line of a training file, whatever its method; a pair counts both answers with their prompt."""
    if isinstance(example.get("messages"), list):
        return of_messages(example["messages"])
    prompt = example.get("input")
    messages = prompt.get("messages") if isinstance(prompt, Mapping) else None
    shared = messages if isinstance(messages, list) else []
    answers = [example[key] for key in example if key.startswith(("preferred_", "non_preferred_"))]
    return sum(of_messages([*shared, *answer]) for answer in answers if isinstance(answer, list))


def _of_part(part: Mapping[str, Any]) -> int:
    return _IMAGE if part.get("type") == "image_url" else of_text(str(part.get("text") or ""))
