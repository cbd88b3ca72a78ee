"""Graders that ask a model: score_model for a number in a range, label_model for one of some labels.

The answer is bound to a JSON schema, so a server that constrains decoding (this one does) always answers in form.
"""

import json
import math
from typing import Any

from hypotez.errors import HypotezError
from hypotez.grading.outcome import Fault, Judge, Ungraded, Usage
from hypotez.grading.template import render
from hypotez.wire.graders import LabelModel, Message, Part, ScoreModel, Text

Json = dict[str, Any]

_STEP = {
    "type": "object",
    "properties": {"description": {"type": "string"}, "conclusion": {"type": "string"}},
    "required": ["description", "conclusion"],
    "additionalProperties": False,
}


class Unjudged(Ungraded):
    """The model was asked, and what it said is no grade; ``usage`` was spent all the same."""

    def __init__(self, fault: Fault, message: str, usage: Usage) -> None:
        super().__init__(fault, message)
        self.usage = usage


async def score(grader: ScoreModel, sample: Json, item: Json, judge: Judge) -> tuple[float, Usage]:
    """A number, cut to the grader's range."""
    params = grader.sampling_params.sent() if grader.sampling_params is not None else {}
    named = {"max_completions_tokens": "max_completion_tokens"}
    asked = {named.get(key, key): value for key, value in params.items() if value is not None}
    answer, usage = await _ask(grader, sample, item, judge, {"result": {"type": "number"}}, asked)
    value = answer.get("result")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Unjudged(Fault.MODEL, f"{grader.model} gave no number: {_short(answer)}", usage)
    low, high = grader.range
    return min(max(float(value), low), high), usage


async def label(grader: LabelModel, sample: Json, item: Json, judge: Judge) -> tuple[float, Usage]:
    """1 for a passing label, 0 for another."""
    choice = {"result": {"type": "string", "enum": list(grader.labels)}}
    answer, usage = await _ask(grader, sample, item, judge, choice, {})
    if answer.get("result") not in grader.labels:
        raise Unjudged(Fault.MODEL, f"{grader.model} gave none of the labels: {_short(answer)}", usage)
    return float(answer["result"] in grader.passing_labels), usage


async def _ask(
    grader: ScoreModel | LabelModel, sample: Json, item: Json, judge: Judge, result: Json, params: Json
) -> tuple[Json, Usage]:
    """The answer as an object with ``result`` and the ``steps`` that OpenAI's graders give too."""
    steps = {"type": "array", "items": _STEP}
    schema = {
        "type": "object",
        "properties": {"steps": steps, **result} if isinstance(grader, ScoreModel) else result,
        "required": ["steps", "result"] if isinstance(grader, ScoreModel) else ["result"],
        "additionalProperties": False,
    }
    body = {
        "model": grader.model,
        "messages": [_message(message, sample, item) for message in grader.input],
        "response_format": {"type": "json_schema", "json_schema": {"name": "grade", "strict": True, "schema": schema}},
        **params,
    }
    try:
        verdict = await judge.ask(body)
    except HypotezError as exc:
        raise Ungraded(Fault.MODEL_SERVER, f"{grader.model} did not answer: {exc.message}") from exc
    if verdict.refusal:
        raise Unjudged(Fault.REFUSAL, verdict.refusal, verdict.usage)
    try:
        answer = json.loads(verdict.text)
    except (ValueError, RecursionError) as exc:
        raise Unjudged(Fault.MODEL, f"{grader.model} answered no JSON: {_short(verdict.text)}", verdict.usage) from exc
    if not isinstance(answer, dict):
        raise Unjudged(Fault.MODEL, f"{grader.model} answered no object: {_short(answer)}", verdict.usage)
    return answer, verdict.usage


def _message(message: Message, sample: Json, item: Json) -> Json:
    if isinstance(message.content, str):
        return {"role": message.role, "content": render(message.content, item, sample)}
    parts = message.content if isinstance(message.content, list) else [message.content]
    return {"role": message.role, "content": [_part(part, sample, item) for part in parts]}


def _part(part: str | Part, sample: Json, item: Json) -> Json:
    """A content part in chat's spelling."""
    if isinstance(part, str):
        return {"type": "text", "text": render(part, item, sample)}
    if isinstance(part, Text):
        return {"type": "text", "text": render(part.text, item, sample)}
    image = {"url": render(part.image_url, item, sample)}
    return {"type": "image_url", "image_url": image | ({"detail": part.detail} if part.detail else {})}


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else text[:197] + "..."
