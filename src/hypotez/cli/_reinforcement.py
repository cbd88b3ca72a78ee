"""What a training process needs to reinforce: the engine that draws replies, and the job's grader that rewards them.

Loads no more than the grader asks for: the models that judge are found when one is asked, as a server would find them.
"""

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from hypotez.embedded.graders import python_graders
from hypotez.grading.grade import Means
from hypotez.grading.outcome import Graded, Verdict
from hypotez.grading.sandbox import Sandbox
from hypotez.settings import Settings
from hypotez.store import Document, Store
from hypotez.wire.graders import AnyGrader, Grader

if TYPE_CHECKING:
    from hypotez.nn.decoder import Decoder
    from hypotez.training.exploration import Drawn, Reinforcement, Reward, Sampler
    from hypotez.worker.judge import RoutedJudge

Json = dict[str, Any]

# tokens that a reply may have, by ``reasoning_effort``: on one's own machine thinking costs time, not money
REPLY_TOKENS = {"low": 128, "default": 256, "medium": 256, "high": 1024}
AT_ONCE = 8  # replies that are graded at the same time


@contextmanager
def reinforcement(job: Document, base: Path, home: Path, store: Store) -> "Iterator[Reinforcement]":
    """Of one job, for as long as it trains."""
    from hypotez.training.exploration import Reinforcement

    settings = Settings.load(home=home)
    means = Means(Sandbox(python_graders(settings)), _Judge(settings, store, job.project))
    rewards = Graders(TypeAdapter(Grader).validate_python(job.private["grader"]), means)
    body = _body(job)
    try:
        yield Reinforcement(lambda decoder, slot: _sampler(decoder, slot, base, body), rewards)
    finally:
        rewards.close()


def reward_of(job: Document) -> str:
    """What decides the rewards of a job beside its files; two jobs that differ here give different numbers."""
    return json.dumps([job.private["grader"], _body(job)], sort_keys=True)


def _body(job: Document) -> Json:
    """What every request for a reply has in common."""
    effort = job.private["hyperparameters"].get("reasoning_effort", "default")
    body: Json = {"max_completion_tokens": REPLY_TOKENS[effort]}
    if job.private.get("response_format") is not None:
        body["response_format"] = job.private["response_format"]
    return body


class Graders:
    """``Rewards`` by one grader. One event loop for all batches: upstreams' connections stay open."""

    def __init__(self, grader: AnyGrader, means: Means) -> None:
        self._grader, self._means = grader, means
        self._loop = asyncio.Runner()

    def __call__(self, pairs: Sequence[tuple[Json, Json]]) -> "list[Reward]":
        return self._loop.run(self._grade(pairs))

    def close(self) -> None:
        self._means.sandbox.close()
        self._loop.close()

    async def _grade(self, pairs: Sequence[tuple[Json, Json]]) -> "list[Reward]":
        places = asyncio.Semaphore(AT_ONCE)

        async def one(sample: Json, item: Json) -> "Reward":
            async with places:
                return _reward(await self._means.grade(self._grader, sample, item))

        return list(await asyncio.gather(*(one(sample, item) for sample, item in pairs)))


class _Judge:
    """Models that judge, looked for at the first question."""

    def __init__(self, settings: Settings, store: Store, project: str) -> None:
        self._settings, self._store, self._project = settings, store, project
        self._found: RoutedJudge | None = None

    async def ask(self, body: Json) -> Verdict:
        return await self._routed().ask(body)

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return await self._routed().embed(texts)

    def _routed(self) -> "RoutedJudge":
        if self._found is None:
            from hypotez.embedded.assembly import routing
            from hypotez.worker.judge import RoutedJudge

            _, router = routing(self._settings, self._store)
            self._found = RoutedJudge(router, self._project)
        return self._found


def _sampler(decoder: "Decoder", slot: int | None, base: Path, body: Json) -> "Sampler":
    from hypotez.engine.groups import GroupSampler
    from hypotez.text import Chat

    return _Sampler(GroupSampler(decoder, Chat.open(base), slot, body))


class _Sampler:
    """The engine's groups as training takes them."""

    def __init__(self, groups: Any) -> None:
        self._groups = groups

    def draw(self, rows: Sequence[Json], dice: Sequence[int], count: int, weights: str) -> "list[list[Drawn]]":
        from hypotez.grading.template import sample_of
        from hypotez.training.exploration import Drawn

        return [
            [
                Drawn(
                    one.sequence.tokens[: one.sequence.prompt_length],
                    one.sequence.output,
                    one.logps,
                    sample_of(one.text, one.calls or None, one.finish_reason),
                )
                for one in group
            ]
            for group in self._groups.write(rows, dice, count, weights)
        ]


def _reward(graded: Graded) -> "Reward":
    from hypotez.training.exploration import Reward

    parts = graded.parts or {graded.name: replace(graded, parts={})}
    faults = {fault.value: why for fault, why in graded.faults.items()}
    return Reward(graded.reward, faults, {name: part.reward for name, part in parts.items()})
