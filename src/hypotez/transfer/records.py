"""The records of the export format: their text, their parts, their faults. Pure."""

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]

MANIFEST, THREAD = "assistants-export-manifest/v1", "assistants-thread-export/v1"
ID = re.compile(r"[A-Za-z0-9_.-]{1,96}")  # becomes a file name: no separators


def text_of(value: Any) -> str:
    """As the format's own tool writes it."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def parts(record: Json) -> Json:
    """The record without the objects that become documents: what has to be kept beside them."""
    return {name: None if name in ("thread", "messages", "runs") else value for name, value in record.items()}


def whole(kept: Json, thread: Json, messages: list[Json], runs: list[Json]) -> Json:
    """The record again, its keys in the order they had."""
    objects: Json = {"thread": thread, "messages": messages, "runs": runs}
    return {name: objects.get(name, value) for name, value in kept.items()}


def faults(record: Any) -> Iterator[tuple[str, str]]:
    """(field, what is wrong) of a thread's record."""
    if not isinstance(record, dict):
        yield "", "is not a JSON object"
        return
    if record.get("export_schema") != THREAD:
        yield "export_schema", f"is {record.get('export_schema')!r}, not {THREAD!r}"
        return
    if record.get("thread") is None:
        if not record.get("errors"):
            yield "thread", "is missing, and 'errors' does not say why"
        return
    yield from _object_faults("thread", record["thread"])
    for name in ("messages", "runs"):
        objects = record.get(name)
        if not isinstance(objects, list):
            yield name, "is not an array"
            continue
        for place, item in enumerate(objects):
            yield from _object_faults(f"{name}[{place}]", item)
            steps = item.get("steps", []) if isinstance(item, dict) and name == "runs" else []
            if not isinstance(steps, list):
                yield f"{name}[{place}].steps", "is not an array"
                continue
            for number, step in enumerate(steps):
                yield from _object_faults(f"{name}[{place}].steps[{number}]", step)


def assistant_faults(assistants: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(assistants, list):
        yield "", "is not a JSON array of assistants"
        return
    for place, item in enumerate(assistants):
        yield from _object_faults(f"[{place}]", item)


def _object_faults(field: str, item: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(item, dict):
        yield field, "is not a JSON object"
        return
    if not isinstance(item.get("id"), str) or not ID.fullmatch(item["id"]):
        yield f"{field}.id", f"is not an id: {item.get('id')!r}"
    if type(item.get("created_at")) is not int:
        yield f"{field}.created_at", f"is not a time in unix seconds: {item.get('created_at')!r}"
    if item.get("object") == "thread.message" and not isinstance(item.get("content"), list):
        yield f"{field}.content", "is not an array of content parts"
