"""``{{ item.answer }}`` and ``{{ sample.output_json.name }}``: a grader's texts with their slots filled. Pure.

A slot names a namespace, ``item`` or ``sample``, and a path of ``.key``, ``[0]`` and ``['key']``. Nothing is
evaluated. What is not a string is written as JSON.
"""

import contextlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from hypotez.errors import InvalidRequest
from hypotez.grading.outcome import Fault, Ungraded

Json = dict[str, Any]
NAMESPACES = ("item", "sample")
SAMPLE = ("output_text", "output_json", "output_tools", "output_audio", "choices")

_SLOT = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_STEP = re.compile(r"\.([^\s.\[\](){}'\"|+,]+)|\[(\d{1,9})\]|\['([^']*)'\]|\[\"([^\"]*)\"\]")


@dataclass(frozen=True, slots=True)
class Slot:
    """One variable of a template. ``path`` has numbers for places in lists."""

    written: str
    namespace: str
    path: tuple[str | int, ...]


@lru_cache(maxsize=1024)
def parse(text: str) -> tuple[str | Slot, ...]:
    """Texts and slots in turn. Raises ``InvalidRequest`` for a slot that names nothing."""
    pieces: list[str | Slot] = []
    end = 0
    for found in _SLOT.finditer(text):
        pieces += [text[end : found.start()], _slot(found[1].strip())]
        end = found.end()
    return (*pieces, text[end:])


def slots(texts: Iterable[str]) -> list[Slot]:
    return [piece for text in texts for piece in parse(text) if isinstance(piece, Slot)]


def render(text: str, item: Mapping[str, Any], sample: Mapping[str, Any]) -> str:
    """Raises ``Ungraded`` for a variable that this item or sample has not got."""
    scope = {"item": item, "sample": sample}
    return "".join(piece if isinstance(piece, str) else _written(_value(piece, scope)) for piece in parse(text))


def sample_of(text: str, tool_calls: list[Json] | None = None, finish_reason: str = "stop") -> Json:
    """The ``sample`` namespace for one reply; ``output_json`` is there where the text is JSON."""
    message: Json = {"role": "assistant", "content": text, "refusal": None}
    if tool_calls:
        message["tool_calls"] = tool_calls
    sample: Json = {
        "output_text": text,
        "output_tools": tool_calls or [],
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}],
    }
    with contextlib.suppress(ValueError, RecursionError):
        sample["output_json"] = json.loads(text, parse_constant=_no_constant)
    return sample


def _slot(written: str) -> Slot:
    namespace = re.match(r"\w*", written)[0]  # type: ignore[index]  # matches always
    path: list[str | int] = []
    at = len(namespace)
    while at < len(written) and (step := _STEP.match(written, at)) is not None:
        path.append(
            int(step[2]) if step[2] is not None else next(s for s in (step[1], step[3], step[4]) if s is not None)
        )
        at = step.end()
    if namespace not in NAMESPACES or at < len(written) or not path:
        raise InvalidRequest(
            f"Invalid template: '{{{{ {_short(written)} }}}}' is not a variable. Write {{{{ item.name }}}} or "
            "{{ sample.output_text }}.",
            code="invalid_grader",
        )
    if namespace == "sample" and path[0] not in SAMPLE:
        raise InvalidRequest(
            f"Invalid template: the sample has no '{_short(str(path[0]))}'. It has {', '.join(SAMPLE)}.",
            code="invalid_grader",
        )
    return Slot(_short(written), namespace, tuple(path))


def _value(slot: Slot, scope: Mapping[str, Mapping[str, Any]]) -> Any:
    found: Any = scope[slot.namespace]
    for step in slot.path:
        if isinstance(step, int) and isinstance(found, list) and step < len(found):
            found = found[step]
        elif isinstance(found, Mapping) and str(step) in found:
            found = found[str(step)]
        elif slot.namespace == "sample" and step == "output_json":
            raise Ungraded(Fault.SAMPLE, "The reply is not JSON, so there is no sample.output_json.")
        else:
            raise Ungraded(Fault.VARIABLE, f"There is no {slot.written} here.")
    return found


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
