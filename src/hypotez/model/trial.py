"""Is the tuned model better? The loss on held-out dialogues before and after, and both models' answers side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from statistics import fmean
from typing import Any


@dataclass(frozen=True, slots=True)
class Answers:
    """One held-out question: what was said then (or should have been), and what the two models say now."""

    question: str
    wanted: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Trial:
    """``loss_before`` is what the job measured first on the held-out dialogues, ``loss_after`` the last."""

    old_model: str
    new_model: str
    answers: list[Answers]
    loss_before: float | None = None
    loss_after: float | None = None

    @property
    def better(self) -> bool:
        """By the loss; by likeness to the wanted answers where no loss was measured; yes where nothing was held out."""
        if self.loss_before is not None and self.loss_after is not None:
            return self.loss_after < self.loss_before
        return not self.answers or self.likeness("new") > self.likeness("old")

    def likeness(self, which: str) -> float:
        """Between 0 and 1: how much of the wanted answers a model's answers repeat."""
        return fmean(SequenceMatcher(None, each.wanted, getattr(each, which)).ratio() for each in self.answers)

    def __str__(self) -> str:
        if not self.answers:
            return f"{self.new_model} is used from here on; there were too few dialogues to hold any out."
        verdict = "better: it is used from here on" if self.better else "not better: the old model stays"
        loss = (
            f"loss {self.loss_before:.3f} before, {self.loss_after:.3f} after; " if self.loss_after is not None else ""
        )
        rows = "".join(
            f"\n  {each.question}\n    wanted: {each.wanted}"
            f"\n    {self.old_model}: {each.old}\n    {self.new_model}: {each.new}"
            for each in self.answers
        )
        return f"{self.new_model} on held-out dialogues is {verdict}. ({loss}likeness {self._likenesses()}){rows}"

    def _likenesses(self) -> str:
        return f"{self.likeness('old'):.2f} before, {self.likeness('new'):.2f} after"


def losses(metrics: Sequence[dict[str, Any]]) -> tuple[float | None, float | None]:
    """First and last validation loss in what a job's events say, oldest first.

    The first is of the whole file before the first step here, of the first batch that was measured elsewhere.
    """
    found = [m.get("full_valid_loss", m.get("valid_loss")) for m in metrics]
    measured = [loss for loss in found if loss is not None]
    return (measured[0], measured[-1]) if measured else (None, None)
