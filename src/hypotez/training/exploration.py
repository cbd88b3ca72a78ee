"""Reinforcement's own half: replies drawn from the model as it is now, graded, and compared with one another (GRPO).

Knows neither engine nor grader: a ``Sampler`` draws and ``Rewards`` grade, both given by whoever assembles the process.
The dice of a reply are made from the job's seed, the step and the example, so a training that goes on after a kill
draws what it would have drawn.
"""

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from hypotez.errors import JobFailed
from hypotez.nn.decoder import Decoder
from hypotez.training.auto import Exploration
from hypotez.training.examples import Examples, Prompts
from hypotez.training.losses import group_advantages

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Drawn:
    """One reply. ``logps`` are its tokens' log-probabilities when drawn; ``sample`` is what a grader sees of it."""

    prompt: list[int]
    reply: list[int]
    logps: list[float]
    sample: Json


class Sampler(Protocol):
    def draw(self, rows: Sequence[Json], dice: Sequence[int], count: int, weights: str) -> list[list[Drawn]]:
        """``count`` replies to each row's messages, by its dice. ``weights`` names the state that the model is in."""
        ...


@dataclass(frozen=True, slots=True)
class Reward:
    """``faults`` names why there is none (then it is 0); ``parts`` are the graders that it was made of."""

    value: float
    faults: Mapping[str, str] = field(default_factory=dict)
    parts: Mapping[str, float] = field(default_factory=dict)


Rewards = Callable[[Sequence[tuple[Json, Json]]], Sequence[Reward]]  # of samples with their items

# a reply that cannot be read is the model's fault and earns 0; these are the grader's own
GRADERS_OWN = frozenset(
    ("formula_parse_error", "other_error", "python_grader_server_error", "python_grader_runtime_error",
     "model_grader_server_error", "model_grader_parse_error")
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reinforcement:
    """What the method needs of the outside. ``sampler`` is made for the decoder and the slot that are trained."""

    sampler: Callable[[Decoder, int | None], Sampler]
    rewards: Rewards


class Rollouts(Examples):
    """Replies with what was thought of them: one sequence, one advantage and one list of log-probabilities each."""

    def __init__(self) -> None:
        super().__init__()
        self.advantages: list[float] = []
        self.logps: list[list[float]] = []

    def add(self, drawn: Drawn, advantage: float) -> None:
        tokens = drawn.prompt + drawn.reply
        mask = [False] * len(drawn.prompt) + [True] * len(drawn.reply)
        self.append([(tokens, mask)], len(tokens))
        self.advantages.append(advantage)
        self.logps.append(drawn.logps)


class Explorer:
    def __init__(self, sampler: Sampler, rewards: Rewards, how: Exploration, seed: int) -> None:
        self._sampler, self._rewards, self._how, self._seed = sampler, rewards, how, seed

    def explore(self, prompts: Examples, batch: Sequence[int], step: int) -> tuple[Rollouts, Json]:
        """Replies to a batch's prompts at ``step``, and what is told of them."""
        assert isinstance(prompts, Prompts)
        begun = time.perf_counter()
        group = self._how.group
        drawn = self._draw(prompts, batch, group, f"step {step}", f"step {step}")
        sampled = time.perf_counter()
        rewards = self._grade(prompts, batch, drawn)
        _refuse_broken_grader(rewards, step)
        advantages = group_advantages(torch.tensor([r.value for r in rewards], dtype=torch.float64).view(-1, group))
        rollouts = Rollouts()
        flat = [one for replies in drawn for one in replies]
        for one, advantage in zip(flat, advantages.flatten().tolist(), strict=True):
            rollouts.add(one, advantage)
        timing = {"sampling": sampled - begun, "grading": time.perf_counter() - sampled}
        return rollouts, {"train": _told(flat, rewards), "timing": timing}

    def validates(self, step: int) -> bool:
        return step % self._how.eval_interval == 0

    def validate(self, prompts: Examples, step: int) -> Json:
        """The whole validation set, with the same dice every time."""
        assert isinstance(prompts, Prompts)
        begun = time.perf_counter()
        batch = range(len(prompts))
        drawn = self._draw(prompts, batch, self._how.eval_samples, "validation", f"validation {step}")
        rewards = self._grade(prompts, batch, drawn)
        flat = [one for replies in drawn for one in replies]
        return {"valid": _told(flat, rewards), "eval_seconds": time.perf_counter() - begun}

    def _draw(self, prompts: Prompts, batch: Sequence[int], count: int, salt: str, weights: str) -> list[list[Drawn]]:
        dice = [_dice(self._seed, salt, i) for i in batch]
        return self._sampler.draw([prompts.rows[i] for i in batch], dice, count, weights)

    def _grade(self, prompts: Prompts, batch: Sequence[int], drawn: Sequence[Sequence[Drawn]]) -> Sequence[Reward]:
        pairs = [(one.sample, prompts.rows[i]) for i, replies in zip(batch, drawn, strict=True) for one in replies]
        return self._rewards(pairs)


def _told(drawn: Sequence[Drawn], rewards: Sequence[Reward]) -> Json:
    """What the step's event says of these replies."""
    faults = Counter(fault for reward in rewards for fault in reward.faults)
    names = {name: None for reward in rewards for name in reward.parts}
    return {
        "reward_mean": _mean([reward.value for reward in rewards]),
        "completion_tokens_mean": _mean([float(len(one.reply)) for one in drawn]),
        "samples": len(drawn),
        "errors": dict(sorted(faults.items())),
        "graders": {name: _mean([reward.parts.get(name, 0.0) for reward in rewards]) for name in names},
    }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _dice(seed: int, salt: str, example: int) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed} {salt} {example}".encode(), digest_size=7).digest(), "big")


def _refuse_broken_grader(rewards: Sequence[Reward], step: int) -> None:
    """A grader that fails on everything teaches nothing: better to say so than to go on for hours."""
    broken = [[why for fault, why in reward.faults.items() if fault in GRADERS_OWN] for reward in rewards]
    if all(broken):
        raise JobFailed(f"The grader failed on every reply of step {step + 1}: {broken[0][0]}", code="invalid_grader")
