"""Images in training examples: OpenAI's rules for them. Looks at the text only; nothing is downloaded or decoded."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

MOST_EXAMPLES = 50_000  # with images, in a file
MOST_IMAGES = 10  # in an example
MOST_BYTES = 10 * 1024**2  # of an image
_KINDS = re.compile(r"data:image/(jpeg|png|webp);base64,")


def count(message: object) -> int:
    """Images of one message."""
    content = message.get("content") if isinstance(message, dict) else None
    parts = content if isinstance(content, list) else []
    return sum(isinstance(part, dict) and part.get("type") == "image_url" for part in parts)


def count_in(example: Mapping[str, Any]) -> int:
    """Images of an example of any method."""
    asked = example.get("input")
    lists = [example.get("messages"), asked.get("messages") if isinstance(asked, dict) else None]
    return sum(count(message) for messages in lists if isinstance(messages, list) for message in messages)


def faults(part: Mapping[str, Any], role: str) -> Iterator[str]:
    """What is wrong with a content part of type ``image_url``."""
    if role == "assistant":
        yield "images are not allowed in assistant messages"
        return
    source = part.get("image_url")
    url = source.get("url") if isinstance(source, dict) else None
    if not isinstance(url, str) or not url.startswith(("https://", "http://", "data:")):
        yield "image_url.url must begin with https://, http:// or data:"
    elif url.startswith("data:"):
        kind = _KINDS.match(url)
        if kind is None:
            yield f"an image must be JPEG, PNG or WEBP in base64, not {url[:30]!r}"
        elif (len(url) - kind.end()) * 3 // 4 > MOST_BYTES:
            yield f"an image has at most {MOST_BYTES // 1024**2} MB"
