"""JSONL as OpenAI checks it on upload. Pure: lines in, nothing out, or the fault in OpenAI's words."""

from collections.abc import Iterable

from pydantic_core import from_json

from hypotez.errors import InvalidRequest

SHOWN = 40  # characters of a wrong line in the message


def check_jsonl(lines: Iterable[bytes]) -> int:
    """The number of examples. Raises ``InvalidRequest`` at the first line that is not a JSON object."""
    count = 0
    for number, raw in enumerate(lines, start=1):
        line = raw.removeprefix(b"\xef\xbb\xbf").strip() if number == 1 else raw.strip()
        if not line:
            continue
        if not _is_object(line):
            start = line[:SHOWN].decode("utf-8", "replace")
            raise InvalidRequest(
                "Expected file to have JSONL format, where every line is a valid JSON dictionary. "
                f'Line {number} is not a dictionary (starts with: "{start}{"..." if len(line) > SHOWN else ""}").'
            )
        count += 1
    if not count:
        raise InvalidRequest("Expected file to have JSONL format, but it is empty.")
    return count


def _is_object(line: bytes) -> bool:
    try:
        return line[:1] == b"{" and isinstance(from_json(line), dict)
    except ValueError:
        return False
