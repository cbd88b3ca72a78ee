"""What is piped into a command: UTF-8, whatever the locale says. Other encodings are named, not guessed."""

import sys
from collections.abc import Iterator

from hypotez.errors import InvalidRequest


def text() -> str:
    """All of standard input. Raises ``InvalidRequest`` where it is not UTF-8."""
    return _decoded(sys.stdin.buffer.read(), 0)


def lines() -> Iterator[str]:
    """Its lines as they come."""
    for number, line in enumerate(sys.stdin.buffer, start=1):
        yield _decoded(line, number)


def _decoded(content: bytes, line: int) -> str:
    try:
        return content.decode("utf-8-sig" if line <= 1 else "utf-8")
    except UnicodeDecodeError as exc:
        line = line or content[: exc.start].count(b"\n") + 1
        raise InvalidRequest(
            f"Line {line} of standard input is not UTF-8 (byte 0x{content[exc.start]:02X}).",
            hint="Convert it on the way: iconv -f cp1251 -t utf-8 FILE | hypotez ... (with the encoding it is in).",
        ) from exc
