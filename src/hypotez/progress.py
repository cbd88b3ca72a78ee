"""What a training tells while it runs, and whom. Between those that train and those that keep what is told; knows
neither."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

Wanted = Literal["run", "pause", "cancel"]


@dataclass(frozen=True, slots=True)
class StepMetrics:
    """One step. Losses and accuracies are means; None is what was not measured at this step."""

    step: int  # from 1
    total_steps: int
    train_loss: float
    train_accuracy: float | None
    valid_loss: float | None = None  # of one batch of the validation file
    valid_accuracy: float | None = None
    full_valid_loss: float | None = None  # of all of it, where an epoch ends
    full_valid_accuracy: float | None = None
    rewards: dict[str, Any] | None = None  # what ``training.exploration`` says of a step of reinforcement

    def measured(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value is not None}


class Journal(Protocol):
    """Where a training writes and from where it hears. After a restart the steps since the last state come again, with
    the same numbers: keep one entry per step."""

    def event(self, message: str, level: str = "info", data: dict[str, Any] | None = None) -> None: ...

    def hyperparameters(self, resolved: dict[str, float]) -> None: ...

    def metrics(self, told: StepMetrics) -> None: ...

    def checkpoint(self, folder: Path, told: StepMetrics) -> None:
        """An epoch's adapter. The last three stay in ``folder``; copy what shall live longer."""
        ...

    def wanted(self) -> Wanted:
        """Asked after every step."""
        ...
