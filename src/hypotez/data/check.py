"""What is wrong with a training example, and with a whole training file (JSONL), in OpenAI's words first.

OpenAI stops at the first fault; this finds all of them. Used before an upload (``prepare``) and by the
server before a job starts, so that both say the same. Pure but for reading the file.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from hypotez.data import pictures, tokens
from hypotez.data.documents import not_a_dictionary
from hypotez.errors import Fault

MINIMUM = 10  # examples in a training file, OpenAI's rule
ROLES = ("system", "user", "assistant", "tool", "function", "developer")
_MOST_FAULTS = 10_000  # a million identical lines need no million sentences
_UNEXPECTED = "Unexpected file format, expected either prompt/completion pairs or chat messages."
_FAILED = "The job failed due to an invalid training file. Invalid file format. "


class Method(StrEnum):
    SUPERVISED = "supervised"
    DPO = "dpo"
    KTO = "kto"
    REINFORCEMENT = "reinforcement"


@dataclass(frozen=True, slots=True)
class Complaint:
    """``field`` is a path into the example, ``messages[1].role``; ``message`` OpenAI's sentence without its number."""

    field: str | None
    message: str


@dataclass(slots=True)
class Report:
    """What ``check_training_file`` found. ``code`` and ``first_openai_message`` are ``None`` for a sound file."""

    path: str
    method: str
    n_examples: int = 0
    n_tokens: int = 0  # an estimate, one epoch
    longest: int = 0  # tokens of the longest example
    faults: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)
    code: str | None = None
    first_openai_message: str | None = None

    @property
    def ok(self) -> bool:
        return not self.faults


def check_training_file(
    path: Path | str,
    method: str = Method.SUPERVISED,
    *,
    name: str | None = None,
    file_id: str | None = None,
    minimum: int = MINIMUM,
    context_window: int | None = None,
    fields: Sequence[str] = (),
) -> Report:
    """Every fault of a JSONL training file for one method.

    ``name`` is what messages call the file, ``file_id`` how OpenAI's sentences call it. Longer examples than
    ``context_window`` (tokens) are warned about: they are cut at the end, as OpenAI does. ``fields`` are those that a
    grader reads, so every example must have them.
    """
    report = Report(name or str(path), method)
    seen: dict[int, int] = {}
    pictured = 0
    for number, value in _lines(Path(path), report):
        report.n_examples += 1
        pictured += pictures.count_in(value) > 0
        complaints = list(complaints_about(value, method, file_id or report.path))
        complaints += [
            Complaint(name, f"{name} is missing, and the grader reads it as item.{name}")
            for name in fields
            if name not in value
        ]
        for complaint in complaints:
            _first(report, "invalid_training_file", _sentence(report.n_examples, complaint))
            _add(report.faults, Fault(report.path, number, complaint.field, complaint.message))
        if not complaints:
            _count(report, number, value, context_window)
            _notice_duplicate(report, number, value, seen)
    if pictured > pictures.MOST_EXAMPLES:
        text = f"{pictured} examples have images, at most {pictures.MOST_EXAMPLES} may"
        _first(report, "invalid_training_file", _FAILED + text)
        _add(report.faults, Fault(report.path, 0, None, text))
    _check_number(report, minimum)
    return report


def complaints_about(example: Mapping[str, Any], method: str, file: str = "file") -> Iterator[Complaint]:
    """What is wrong with one example for this method."""
    shape = shape_of(example)
    if shape is None:
        yield Complaint(None, _UNEXPECTED)
    elif method == Method.DPO and shape is not Method.DPO:
        yield Complaint(None, _other_method(file, "fine-tune-chat", method, Method.SUPERVISED))
    elif method != Method.DPO and shape is Method.DPO:
        yield Complaint(None, _other_method(file, "fine-tune-preference", method, Method.DPO))
    elif shape is Method.DPO:
        yield from _pair(example)
    else:
        yield from _conversation(example, method)


def shape_of(example: Mapping[str, Any]) -> Method | None:
    """The method an example's keys are made for."""
    if "input" in example and any(key in example for key in (*PREFERRED, *NON_PREFERRED)):
        return Method.DPO
    if "messages" not in example:
        return None
    return Method.KTO if "label" in example else Method.SUPERVISED


PREFERRED = ("preferred_output", "preferred_completion")
NON_PREFERRED = ("non_preferred_output", "non_preferred_completion")


def _conversation(example: Mapping[str, Any], method: str) -> Iterator[Complaint]:
    messages = example["messages"]
    yield from _messages(messages, "messages")
    if method == Method.KTO and not isinstance(example.get("label"), bool):
        yield Complaint("label", "label must be true (desirable) or false (undesirable)")
    if not isinstance(messages, list):
        return
    if method == Method.REINFORCEMENT:
        if messages and _role(messages[-1]) not in ("user", "tool"):
            yield Complaint("messages", "the last message must be from the user")
        return
    replies = [m for m in messages if isinstance(m, dict) and m.get("role") == "assistant"]
    if not replies:
        yield Complaint("messages", "there must be at least one message from the assistant")
    elif method == Method.KTO and messages[-1] is not replies[-1]:
        yield Complaint("messages", "the last message must be from the assistant")
    elif all(m.get("weight") == 0 and not isinstance(m.get("weight"), bool) for m in replies):
        yield Complaint("messages", "every assistant message has weight 0, so there is nothing to learn")


def _pair(example: Mapping[str, Any]) -> Iterator[Complaint]:
    if pictures.count_in(example):
        yield Complaint("input.messages", "preference examples are text only: they cannot hold images")
    prompt = example["input"]
    if isinstance(prompt, Mapping) and "messages" in prompt:
        yield from _messages(prompt["messages"], "input.messages")
    else:
        yield Complaint("input.messages", "input must hold messages")
    for keys in (PREFERRED, NON_PREFERRED):
        key = next((key for key in keys if key in example), None)
        if key is None:
            yield Complaint(keys[0], f"{keys[0]} is missing")
            continue
        answer = example[key]
        yield from _messages(answer, key)
        if isinstance(answer, list) and (len(answer) != 1 or _role(answer[0]) != "assistant"):
            yield Complaint(key, f"{key} must be one message from the assistant")


def _messages(messages: object, where: str) -> Iterator[Complaint]:
    if not isinstance(messages, list):
        yield Complaint(where, f"{where} must be a list")
        return
    if not messages:
        yield Complaint(where, f"{where} is empty")
    images = 0
    for i, message in enumerate(messages):
        images += pictures.count(message)
        for key, text in _message(message):
            yield Complaint(f"{where}[{i}]{key}", f"message {i + 1} {text}")
    if images > pictures.MOST_IMAGES:
        yield Complaint(where, f"{images} images, at most {pictures.MOST_IMAGES} are allowed in an example")


def _message(message: object) -> Iterator[tuple[str, str]]:
    if not isinstance(message, dict):
        yield "", "Input should be a valid dictionary"
        return
    role = message.get("role")
    if role is None:
        yield ".role", "Discriminator 'role' is missing in value"
    elif role not in ROLES:
        expected = ", ".join(f"'{known}'" for known in ROLES)
        yield ".role", f"Input tag '{role}' found using 'role' does not match any of the expected tags: {expected}"
    yield from _content(message, str(role))
    weight = message.get("weight")
    if weight is not None and (isinstance(weight, bool) or weight not in (0, 1)):
        yield ".weight", f"weight must be 0 or 1, not {weight!r}"
    elif weight is not None and role != "assistant":
        yield ".weight", "weight is for assistant messages only"
    if role == "tool" and not message.get("tool_call_id"):
        yield ".tool_call_id", "tool_call_id is missing"


def _content(message: Mapping[str, Any], role: str) -> Iterator[tuple[str, str]]:
    content = message.get("content")
    if content is None:
        if not (role == "assistant" and (message.get("tool_calls") or message.get("function_call"))):
            yield ".content", "content is missing"
    elif isinstance(content, list):
        yield from _parts(content, role)
    elif not isinstance(content, str):
        yield ".content", "content must be a string or a list of parts"
    elif not content.strip() and role in ("user", "assistant"):
        yield ".content", "content is empty"


def _parts(parts: Sequence[object], role: str) -> Iterator[tuple[str, str]]:
    for part in parts:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind not in ("text", "image_url", "refusal") or not isinstance(part, dict):
            yield ".content", f"content part type {kind!r} is not text or image_url"
        elif kind == "image_url":
            yield from ((".content", text) for text in pictures.faults(part, role))
        elif not isinstance(part.get(kind), str):
            yield ".content", f"content part of type {kind!r} has no {kind}"
    if not parts:
        yield ".content", "content is empty"


def _role(message: object) -> object:
    return message.get("role") if isinstance(message, dict) else None


def _other_method(file: str, format_: str, method: str, expected: str) -> str:
    return (
        f"Input file {file} is in the {format_} format, but the specified fine-tuning job is not using "
        f"'{expected}' as the training method (provided method={method}). "
    )


def _sentence(n: int, complaint: Complaint) -> str:
    """OpenAI numbers examples in faults of a message, and speaks of the file as a whole in the others."""
    whole = complaint.message == _UNEXPECTED or complaint.message.startswith("Input file ")
    return _FAILED + (complaint.message if whole else f"Example {n}, {complaint.message}")


def _lines(path: Path, report: Report) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            if not raw.strip():
                continue
            try:
                text = raw.decode("utf-8-sig" if number == 1 else "utf-8")
                value = json.loads(text)
            except UnicodeDecodeError as exc:
                _refuse_line(report, number, f"not UTF-8 (byte 0x{raw[exc.start]:02X} at column {exc.start + 1})", None)
                continue
            except json.JSONDecodeError as exc:
                _refuse_line(report, number, f"not valid JSON (column {exc.colno}: {exc.msg})", text)
                continue
            except (ValueError, RecursionError) as exc:  # a number of 5,000 digits; 100,000 brackets
                _refuse_line(report, number, f"not valid JSON: {exc}", text)
                continue
            if isinstance(value, dict):
                yield number, value
            else:
                _refuse_line(report, number, not_a_dictionary(number, text), text)


def _refuse_line(report: Report, number: int, what: str, text: str | None) -> None:
    report.n_examples += 1
    _first(report, "invalid_training_file", not_a_dictionary(number, text) if text is not None else _FAILED + what)
    _add(report.faults, Fault(report.path, number, None, what))


def _count(report: Report, number: int, value: Mapping[str, Any], context_window: int | None) -> None:
    n = tokens.of_example(value)
    report.n_tokens += n
    report.longest = max(report.longest, n)
    if context_window and n > context_window:
        what = f"about {n} tokens, more than the model's {context_window}: it is cut at the end"
        _add(report.warnings, Fault(report.path, number, None, what))


def _notice_duplicate(report: Report, number: int, value: Mapping[str, Any], seen: dict[int, int]) -> None:
    first = seen.setdefault(hash(json.dumps(value, sort_keys=True)), number)
    if first != number:
        _add(report.warnings, Fault(report.path, number, None, f"the same as line {first}"))


def _check_number(report: Report, minimum: int) -> None:
    if report.n_examples < minimum:
        text = too_few(report.n_examples, minimum)
        _first(report, "invalid_n_examples", text)
        _add(report.faults, Fault(report.path, 0, None, text))


def too_few(n: int, minimum: int = MINIMUM) -> str:
    return f"Training file has {n} example(s), but must have at least {minimum} examples"


def _first(report: Report, code: str, message: str) -> None:
    if report.code is None:
        report.code, report.first_openai_message = code, message


def _add(faults: list[Fault], fault: Fault) -> None:
    if len(faults) < _MOST_FAULTS:
        faults.append(fault)
