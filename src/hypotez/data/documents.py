"""Rows of documents: JSON, JSON Lines and Markdown, each with the line where it begins."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TextIO

from hypotez.data import columns
from hypotez.data.records import Complain, Record, Source
from hypotez.data.source import open_text
from hypotez.errors import DataError, Fault

_PIECE = 1 << 16
_LISTS = ("data", "examples", "items", "rows", "dialogues", "conversations")
_SEPARATORS = re.compile(r"[\s,]*")
_HEADING = re.compile(r"\s{0,3}(#{1,6})\s+(.*?)\s*#*\s*$")
_FENCE = re.compile(r"\s{0,3}(```|~~~)")


def read_jsonl(source: Source, complain: Complain) -> Iterator[Record]:
    """One object per line; blank lines are passed over."""
    with open_text(source) as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except json.JSONDecodeError as exc:
                complain(Fault(source.name, number, None, f"not valid JSON (column {exc.colno}: {exc.msg})"))
                continue
            if isinstance(value, dict):
                yield Record(source.name, number, value)
            else:
                complain(Fault(source.name, number, None, not_a_dictionary(number, line)))


def not_a_dictionary(number: int, line: str) -> str:
    """OpenAI's own words for a line that is not an object."""
    return (
        "Expected file to have JSONL format, where every line is a valid JSON dictionary. "
        f"Line {number} is not a dictionary (starts with: {line.strip()[:30]}...)"
    )


def read_json(source: Source, complain: Complain) -> Iterator[Record]:
    """A list of objects, an object that holds one, a dialogue (list of messages) or an object of question: answer."""
    with open_text(source) as file:
        text = _Stream(file, source.name)
        if text.peek() == "[":
            yield from _list(text.elements(), source.name, complain)
            return
        value = text.whole()
    if not isinstance(value, dict):
        raise DataError(f"{source.name}: a JSON list or object is needed, this is {json.dumps(value)[:40]}.")
    nested = next((value[key] for key in _LISTS if isinstance(value.get(key), list)), None)
    if nested is not None:
        yield from _list(((1, element) for element in nested), source.name, complain)
    elif all(isinstance(answer, str) for answer in value.values()) and not any(map(columns.knows, value)):
        yield from (Record(source.name, 1, {"question": q, "answer": a}) for q, a in value.items())
    else:
        yield Record(source.name, 1, value)


def _list(elements: Iterator[tuple[int, Any]], name: str, complain: Complain) -> Iterator[Record]:
    messages: list[dict[str, Any]] = []
    for line, element in elements:
        if not isinstance(element, dict):
            complain(Fault(name, line, None, f"not an object: {json.dumps(element, ensure_ascii=False)[:40]}"))
        elif "role" in element and "content" in element:
            messages.append({"role": element["role"], "content": element["content"]})
        else:
            yield Record(name, line, element)
    if messages:
        yield Record(name, 1, {"messages": messages})


@dataclass(slots=True)
class _Stream:
    """A JSON list read element by element, so that its length does not matter."""

    file: TextIO
    name: str
    buffer: str = ""
    line: int = 1
    ended: bool = False

    def peek(self) -> str:
        self._skip(r"\s*")
        return self.buffer[:1]

    def elements(self) -> Iterator[tuple[int, Any]]:
        """Line and value of each element. Raises ``DataError`` where the text stops being JSON."""
        self._advance(1)
        while True:
            self._skip(_SEPARATORS)
            if self.buffer.startswith("]"):
                return
            line, value = self.line, self._value()
            yield line, value

    def whole(self) -> Any:
        value = self._value()
        self._skip(r"\s*")
        if self.buffer:
            raise self._fault("Extra data", 0)
        return value

    def _value(self) -> Any:
        wanted = _PIECE
        while True:
            try:
                value, end = json.JSONDecoder().raw_decode(self.buffer)
                if end < len(self.buffer) or self.ended:  # a number at the buffer's end may go on
                    self._advance(end)
                    return value
            except json.JSONDecodeError as exc:
                if self.ended:
                    raise self._fault(exc.msg, exc.pos) from exc
            self._fill(wanted)
            wanted *= 2  # so that one enormous element costs its length, not its square

    def _fill(self, size: int = _PIECE) -> None:
        piece = self.file.read(size)
        self.ended = not piece
        self.buffer += piece

    def _skip(self, pattern: str | re.Pattern[str]) -> None:
        while True:
            match = re.match(pattern, self.buffer)
            self._advance(match.end() if match else 0)
            if self.buffer or self.ended:
                return
            self._fill()

    def _advance(self, end: int) -> None:
        self.line += self.buffer.count("\n", 0, end)
        self.buffer = self.buffer[end:]

    def _fault(self, message: str, position: int) -> DataError:
        before = self.buffer[:position]
        line, column = self.line + before.count("\n"), position - (before.rfind("\n") + 1) + 1
        what = f"not valid JSON (column {column}: {message})"
        return DataError(f"{self.name}:{line}: {what}.", faults=[Fault(self.name, line, None, what)])


def read_markdown(source: Source, complain: Complain) -> Iterator[Record]:
    """Headings become questions, the text below them answers. A heading with only headings below it is a title."""
    heading, level, line, text, fenced = "", 0, 0, list[str](), False
    with open_text(source) as file:
        for number, raw in enumerate(file, start=1):
            fenced ^= bool(_FENCE.match(raw))
            match = None if fenced else _HEADING.match(raw)
            if not match:
                text.append(raw)
                continue
            if heading and ("".join(text).strip() or len(match[1]) <= level):
                yield _section(source.name, line, heading, text)
            heading, level, line, text = match[2], len(match[1]), number, []
    if not heading:
        raise DataError(f"{source.name} has no headings; they are the questions of a Markdown file.")
    yield _section(source.name, line, heading, text)


def _section(name: str, line: int, heading: str, text: list[str]) -> Record:
    return Record(name, line, {"question": heading, "answer": "".join(text).replace("\r\n", "\n").strip()})
