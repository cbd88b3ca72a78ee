"""One grader on one reply: ``await Means(...).grade(grader, sample, item)``.

A fault of the reply or of the grader is not raised: the reward is 0 and the flag says why, as at OpenAI. Raised is
only what makes every grade impossible (no sandbox for a Python grader).
"""

import asyncio
import math
import operator
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hypotez.errors import HypotezError, InvalidRequest
from hypotez.grading import formula, judged
from hypotez.grading.outcome import Fault, Graded, Judge, Ungraded, Usage
from hypotez.grading.sandbox import Sandbox
from hypotez.grading.similarity import similarity
from hypotez.grading.template import render
from hypotez.wire.graders import AnyGrader, LabelModel, Multi, Python, ScoreModel, StringCheck, TextSimilarity

Json = dict[str, Any]

LONGEST = 200_000  # characters of the texts that are compared: some measures take time by the product of both


@dataclass(frozen=True, slots=True)
class Means:
    """What graders need beside the reply: a place to run Python, and who serves models."""

    sandbox: Sandbox
    judge: Judge

    async def grade(self, grader: AnyGrader, sample: Json, item: Json) -> Graded:
        """``sample`` is ``template.sample_of(...)``, ``item`` the example's fields."""
        begun = time.perf_counter()
        parts: Mapping[str, Graded] = {}
        reward, faults, usage = 0.0, dict[Fault, str](), Usage()
        try:
            if isinstance(grader, Multi):
                parts = await self._parts(grader, sample, item)
                for part in parts.values():
                    faults |= part.faults
                if not faults:
                    reward = _calculated(grader, parts)
            else:
                reward, usage = await self._single(grader, sample, item)
        except judged.Unjudged as exc:
            faults, usage = {exc.fault: exc.message}, exc.usage
        except Ungraded as exc:
            faults = {exc.fault: exc.message}
        spent = {name: used for part in parts.values() for name, used in part.usage.items()}
        if isinstance(grader, ScoreModel | LabelModel):
            spent = {grader.model: usage}
        return Graded(grader.name, grader.type, reward, faults, time.perf_counter() - begun, parts, spent)

    async def _parts(self, grader: Multi, sample: Json, item: Json) -> dict[str, Graded]:
        found = await asyncio.gather(*(self.grade(part, sample, item) for part in grader.graders.values()))
        return dict(zip(grader.graders, found, strict=True))

    async def _single(self, grader: AnyGrader, sample: Json, item: Json) -> tuple[float, Usage]:
        match grader:
            case StringCheck():
                return _checked(grader, sample, item), Usage()
            case TextSimilarity():
                return await self._alike(grader, sample, item), Usage()
            case Python():
                return await asyncio.to_thread(self.sandbox.grade, grader.source, sample, item), Usage()
            case ScoreModel():
                return await judged.score(grader, sample, item, self.judge)
            case LabelModel():
                return await judged.label(grader, sample, item, self.judge)
            case _:
                raise AssertionError(f"{grader.type} is no single grader")

    async def _alike(self, grader: TextSimilarity, sample: Json, item: Json) -> float:
        text, reference = render(grader.input, item, sample), render(grader.reference, item, sample)
        if len(text) + len(reference) > LONGEST:
            raise Ungraded(Fault.OTHER, f"Texts of more than {LONGEST} characters together are not compared.")
        if grader.evaluation_metric != "cosine":
            measured = (grader.evaluation_metric, text, reference)
            return similarity(*measured) if len(text) < 1000 else await asyncio.to_thread(similarity, *measured)
        if not text or not reference:
            return 0.0
        try:
            a, b = await self.judge.embed([text, reference])
        except HypotezError as exc:
            raise Ungraded(Fault.OTHER, f"The texts could not be embedded: {exc.message}") from exc
        length = math.hypot(*a) * math.hypot(*b)
        return sum(map(operator.mul, a, b)) / length if length else 0.0


def _checked(grader: StringCheck, sample: Json, item: Json) -> float:
    text, reference = render(grader.input, item, sample), render(grader.reference, item, sample)
    match grader.operation:
        case "eq":
            return float(text == reference)
        case "ne":
            return float(text != reference)
        case "like":
            return float(reference in text)
        case "ilike":
            return float(reference.casefold() in text.casefold())


def _calculated(grader: Multi, parts: Mapping[str, Graded]) -> float:
    try:
        return formula.calculate(grader.calculate_output, {name: part.reward for name, part in parts.items()})
    except InvalidRequest as exc:
        raise Ungraded(Fault.FORMULA, exc.message) from exc
