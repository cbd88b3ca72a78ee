"""What a job will cost before it is started: examples, tokens, epochs, time and memory.

OpenAI's epoch rule is exact; time comes from a measured speed (tokens per second of an earlier job, or of
this machine's matrix products and the model's size), memory from the model's size. Pure arithmetic.
"""

from dataclasses import dataclass

_TARGET_EPOCHS = 3
START_SECONDS = 4.0  # a process, torch, the model
_FEWEST_SEEN, _MOST_SEEN = 100, 25_000  # examples times epochs
_MOST_EPOCHS = 25
_FLOPS_PER_WEIGHT = 4  # for each weight and token: forward 2, backward to the activations 2; LoRA leaves the weights


@dataclass(frozen=True, slots=True)
class Forecast:
    """``seconds`` and ``memory`` are ``None`` where nothing is known about the model."""

    method: str
    n_examples: int
    n_tokens: int  # one epoch, an estimate
    n_epochs: int
    trained_tokens: int
    longest: int  # tokens of the longest example
    seconds: float | None = None
    memory: int | None = None  # bytes
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        time = f", about {_duration(self.seconds)}" if self.seconds is not None else ""
        memory = f", about {self.memory / 1e9:.1f} GB of memory" if self.memory is not None else ""
        return (
            f"{self.n_examples} examples ({self.method}), about {self.n_tokens} tokens, {self.n_epochs} epochs: "
            f"about {self.trained_tokens} trained tokens{time}{memory}"
        )


def auto_epochs(n_examples: int) -> int:
    """OpenAI's rule: 3 epochs, more for few examples (at most 25), fewer for many."""
    if n_examples < 1:
        return _TARGET_EPOCHS
    if _TARGET_EPOCHS * n_examples < _FEWEST_SEEN:
        return min(_MOST_EPOCHS, _FEWEST_SEEN // n_examples)
    if _TARGET_EPOCHS * n_examples > _MOST_SEEN:
        return max(1, _MOST_SEEN // n_examples)
    return _TARGET_EPOCHS


def forecast(
    method: str,
    n_examples: int,
    n_tokens: int,
    longest: int,
    *,
    n_epochs: int | None = None,
    tokens_per_second: float | None = None,
    n_weights: int | None = None,
    flops: float | None = None,
    warnings: tuple[str, ...] = (),
) -> Forecast:
    """``n_epochs`` of ``None`` means auto. ``flops`` per second turn ``n_weights`` into a speed when none was seen."""
    epochs = n_epochs or auto_epochs(n_examples)
    speed = tokens_per_second
    if speed is None and flops and n_weights:
        speed = flops / (_FLOPS_PER_WEIGHT * n_weights)
    return Forecast(
        method,
        n_examples,
        n_tokens,
        epochs,
        n_tokens * epochs,
        longest,
        seconds=START_SECONDS + n_tokens * epochs / speed if speed else None,
        memory=_memory(n_weights) if n_weights else None,
        warnings=warnings,
    )


def _memory(n_weights: int) -> int:
    """Weights in four bytes, their adapters, and activations of one batch, about as much again; the interpreter."""
    return 2 * 4 * n_weights + 600_000_000


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
