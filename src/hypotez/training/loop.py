"""The training loop: batches in an order that only the seed decides, gradients gathered in parts, a step, metrics.

One loop for every method. It knows where it is (``Position``) and can stop after any step and go on from there with
the same numbers to the last bit. Knows no files and no job.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from hypotez.errors import JobFailed
from hypotez.progress import StepMetrics
from hypotez.training.auto import Hyperparameters
from hypotez.training.examples import Examples
from hypotez.training.exploration import Explorer
from hypotez.training.logps import Policy
from hypotez.training.methods import Method, Tally
from hypotez.training.optimizer import AdamW, rate
from hypotez.training.workers import Workers, share_out


@dataclass
class Position:
    """How far training has come; together with the optimiser's tensors, all that has to be kept."""

    step: int = 0
    trained_tokens: int = 0
    last: StepMetrics | None = None
    best_loss: float | None = None  # full validation loss, for early stopping
    best_step: int = 0
    stale_epochs: int = 0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, kept: dict[str, Any]) -> "Position":
        return cls(**kept | {"last": kept["last"] and StepMetrics(**kept["last"])})


@dataclass(frozen=True, slots=True)
class Score:
    """Mean loss and share of right guesses over ``count`` things."""

    loss: float
    accuracy: float


class Loop:
    """``tokens_at_once`` bounds memory: a batch with more is worked through in parts, to the same gradient.

    ``thin`` may change what of the examples is seen at a step, not what is learnt of them. With an ``explorer`` the
    examples are prompts, and what is learnt are replies to them, drawn at every step anew.
    """

    def __init__(
        self,
        policy: Policy,
        method: Method,
        optimizer: AdamW,
        parameters: Hyperparameters,
        train: Examples,
        valid: Examples | None,
        tokens_at_once: int,
        position: Position,
        workers: Workers | None = None,
        thin: Callable[[Examples, int], Examples] | None = None,
        explorer: Explorer | None = None,
    ) -> None:
        self.policy, self.method, self.optimizer, self.parameters = policy, method, optimizer, parameters
        self.train, self.valid, self.tokens_at_once, self.position = train, valid, tokens_at_once, position
        self.workers, self.thin, self.explorer = workers or Workers(1), thin, explorer
        self.steps_per_epoch = math.ceil(len(train) / parameters.batch_size)
        self.total_steps = self.steps_per_epoch * parameters.n_epochs
        self._orders: dict[int, list[int]] = {}

    def step(self) -> StepMetrics:
        """One optimiser step."""
        at, p = self.position, self.parameters
        begun = time.perf_counter()
        shown, which, told = self._shown(self._batch(at.step))
        learning = time.perf_counter()
        count = self.method.count(self.train if self.explorer is None else shown, which)
        loss, right, seen, drift = 0.0, 0, 0, 0.0
        parts = self._parts(which, shown)
        for gradients, tally in self.workers.map(lambda part: self._gradients(shown, part, which, count), parts):
            self.optimizer.add(gradients)
            loss, right, seen = loss + float(tally.loss), right + tally.right, seen + tally.count
            drift += tally.drift
        if not math.isfinite(loss):
            raise JobFailed(
                f"The loss became {loss} at step {at.step + 1}; lower learning_rate_multiplier "
                f"(it was {p.learning_rate_multiplier})."
            )
        self.optimizer.step(self.rate(at.step))
        at.step += 1
        at.trained_tokens += sum(shown.length(i) for i in which)
        metrics: dict[str, Any] = {
            "step": at.step,
            "total_steps": self.total_steps,
            "train_loss": loss / count,
            "train_accuracy": right / max(seen, 1),
        }
        if self.explorer is not None:
            told["train"]["kl_mean"] = drift / count
            told["timing"]["training"] = time.perf_counter() - learning
            metrics |= {"train_accuracy": None, "rewards": told | self._rewarded()}
            told["timing"]["full_iteration"] = time.perf_counter() - begun
        elif self.valid is not None:
            metrics |= self._validate()
        at.last = StepMetrics(**metrics)
        return at.last

    @property
    def finished(self) -> bool:
        return self.position.step >= self.total_steps

    @property
    def epoch_ended(self) -> bool:
        return self.position.step > 0 and self.position.step % self.steps_per_epoch == 0

    def score(self, examples: Examples, which: Sequence[int]) -> Score:
        loss, right, seen = 0.0, 0, 0
        for tally in self.workers.map(lambda part: self._tally(examples, part, which), self._parts(which, examples)):
            loss, right, seen = loss + float(tally.loss), right + tally.right, seen + tally.count
        return Score(loss / max(seen, 1), right / max(seen, 1))

    def _gradients(
        self, examples: Examples, part: Sequence[int], batch: Sequence[int], count: int
    ) -> tuple[Sequence[Tensor | None], Tally]:
        tally = self.method.loss(self.policy, examples, part, batch)
        gradients = torch.autograd.grad(tally.loss / count, self.optimizer.parameters, allow_unused=True)
        return gradients, replace(tally, loss=tally.loss.detach())

    @torch.no_grad()
    def _tally(self, examples: Examples, part: Sequence[int], batch: Sequence[int]) -> Tally:
        return self.method.loss(self.policy, examples, part, batch)

    def _validate(self) -> dict[str, float]:
        """A batch of the validation set about ten times an epoch, all of it where the epoch ends."""
        assert self.valid is not None
        found: dict[str, float] = {}
        step, size = self.position.step, self.parameters.batch_size
        if step % max(1, self.steps_per_epoch // 10) == 0 or self.epoch_ended:
            first = (step - 1) * size % len(self.valid)
            which = [(first + i) % len(self.valid) for i in range(min(size, len(self.valid)))]
            score = self.score(self.valid, which)
            found |= {"valid_loss": score.loss, "valid_accuracy": score.accuracy}
        if self.epoch_ended:
            score = self.score(self.valid, range(len(self.valid)))
            found |= {"full_valid_loss": score.loss, "full_valid_accuracy": score.accuracy}
        return found

    def _shown(self, batch: list[int]) -> tuple[Examples, Sequence[int], dict[str, Any]]:
        """What is learnt from at this step, which of it, and what is told of how it came about."""
        step = self.position.step
        if self.explorer is not None:
            rollouts, told = self.explorer.explore(self.train, batch, step)
            return rollouts, range(len(rollouts)), told
        return self.thin(self.train, step) if self.thin is not None else self.train, batch, {}

    def _rewarded(self) -> dict[str, Any]:
        step = self.position.step
        if self.explorer is None or self.valid is None:
            return {}
        due = self.explorer.validates(step) or self.epoch_ended
        return self.explorer.validate(self.valid, step) if due else {}

    def _batch(self, step: int) -> list[int]:
        epoch, at = divmod(step, self.steps_per_epoch)
        size = self.parameters.batch_size
        return self.order(epoch)[at * size : (at + 1) * size]

    def rate(self, step: int) -> float:
        """Step size of the step that begins at ``step``."""
        return rate(step, self.total_steps, self.parameters.rate)

    def order(self, epoch: int) -> list[int]:
        """The examples of one epoch, shuffled by the seed."""
        if epoch not in self._orders:
            generator = torch.Generator().manual_seed(self.parameters.seed * 1_000_003 + epoch)
            self._orders = {epoch: torch.randperm(len(self.train), generator=generator).tolist()}
        return self._orders[epoch]

    def _parts(self, which: Sequence[int], examples: Examples | None = None) -> list[list[int]]:
        """The batch in parts of at most ``tokens_at_once`` tokens, one or more for each worker.

        A method that compares the examples of a part (``least``) gets runs of the batch, and no more than needed.
        """
        lengths = [(examples or self.train).length(i) for i in which]
        least = self.method.least
        if least == 1:
            at_once = self.tokens_at_once // self.workers.count
            return [[which[i] for i in lot] for lot in share_out(lengths, self.workers.count, at_once)]
        parts = max(1, min(len(which) // least, -(-sum(lengths) // self.tokens_at_once)))
        bounds = [len(which) * i // parts for i in range(parts + 1)]
        return [list(which[a:b]) for a, b in pairwise(bounds)]
