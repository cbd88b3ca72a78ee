"""What ``auto`` means: the few numbers a job resolves to. Pure arithmetic; docs/fine-tuning.md has the measurements.

Epochs: OpenAI's own rule (its fine-tuning cookbook). Batch and step size: ours, see the functions.
"""

import math
from dataclasses import asdict, dataclass
from typing import Literal

Auto = Literal["auto"]

SMALL = 30_000_000  # parameters: below it is the built-in model and its like


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """Resolved: numbers only. ``rate`` is the peak step size that the multiplier comes to."""

    n_epochs: int
    batch_size: int
    learning_rate_multiplier: float
    rate: float
    beta: float
    sft_weight: float
    seed: int

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


def epochs(examples: int) -> int:
    """Three, but at least 100 examples seen where 25 rounds can reach it, and at most 25,000."""
    if examples * 3 < 100:
        return min(25, 100 // examples)
    if examples * 3 > 25_000:
        return max(1, 25_000 // examples)
    return 3


def batch_size(examples: int, rounds: int) -> int:
    """About 600 steps or more for small sets, by batches from 1 to 16; then 0.2 % of the set, up to 64.

    Small sets need many small steps more than smooth gradients; large ones have steps to spare.
    """
    return max(1, min(16, examples * rounds // 600), min(64, examples // 500))


def peak_rate(hidden_size: int, full: bool) -> float:
    """Step size at multiplier 1: 5e-4 for a LoRA on a model 2048 wide, falling with width, a tenth for full weights."""
    return 5e-4 * math.pow(2048 / hidden_size, 0.78) * (0.1 if full else 1.0)


def hold(beta: float | Auto, sft_weight: float | Auto, method: str) -> tuple[float, float]:
    """How strongly a method is held near what it began as: the papers' own beta, and for preferences the supervised
    term with the weight that TRL gives it."""
    natural = 0.04 if method == "reinforcement" else 0.1
    anchor = 1.0 if method in ("dpo", "kto") else 0.0
    return natural if beta == "auto" else beta, anchor if sft_weight == "auto" else sft_weight


@dataclass(frozen=True, slots=True)
class Exploration:
    """How much reinforcement tries: replies to a prompt, steps between validations, replies to a prompt of those."""

    group: int
    eval_interval: int
    eval_samples: int


def exploration(
    multiplier: float | Auto, eval_interval: int | Auto, eval_samples: int | Auto, steps: int
) -> tuple[Exploration, dict[str, float]]:
    """What is done, and the hyperparameters in OpenAI's names.

    Eight replies to a prompt times the multiplier, at least two: there must be something to compare. About ten
    validations in all, one reply to each prompt.
    """
    factor = 1.0 if multiplier == "auto" else multiplier
    interval = max(1, steps // 10) if eval_interval == "auto" else eval_interval
    samples = 1 if eval_samples == "auto" else eval_samples
    told = {"compute_multiplier": factor, "eval_interval": interval, "eval_samples": samples}
    return Exploration(max(2, min(80, round(8 * factor))), interval, samples), told


def prompt_dropout(parameters: int) -> float:
    """A fifth for models of the built-in one's size, which know few wordings; nothing for larger ones."""
    return 0.2 if parameters < SMALL else 0.0


def resolve(
    *,
    n_epochs: int | Auto,
    batch: int | Auto,
    multiplier: float | Auto,
    beta: float,
    sft_weight: float,
    seed: int,
    examples: int,
    hidden_size: int,
    full: bool,
    method_rate: float,
    least_batch: int = 1,
    auto_batch: int = 1,
) -> Hyperparameters:
    """``least_batch`` is what the method can work with, ``auto_batch`` the smallest that ``auto`` chooses."""
    rounds = epochs(examples) if n_epochs == "auto" else n_epochs
    size = max(auto_batch, batch_size(examples, rounds)) if batch == "auto" else batch
    factor = 1.0 if multiplier == "auto" else multiplier
    return Hyperparameters(
        n_epochs=rounds,
        batch_size=min(max(size, least_batch), examples),
        learning_rate_multiplier=factor,
        rate=peak_rate(hidden_size, full) * method_rate * factor,
        beta=beta,
        sft_weight=sft_weight,
        seed=seed,
    )
