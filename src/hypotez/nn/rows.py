"""Which adapter each row of one forward pass uses, worked out once for all layers.

Knows no adapters, only the numbers of their slots.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Rows:
    """The slot that every row uses, None where they differ; and the slot of each."""

    slot: int | None
    each: NDArray[np.int32] | None = None  # (T,), -1 for none; None where ``of`` was given one slot for all
    device: torch.device | None = None
    slots: Tensor | None = None  # (T,), -1 for none, where only the device may know them

    @classmethod
    def unread(cls, slots: Tensor) -> Self:
        """``slots`` (T,), -1 for none, which the host does not look at: each row's adapter is fetched on the device."""
        return cls(None, slots=slots)

    @classmethod
    def of(cls, slots: Tensor | int | None) -> Self | None:
        """``slots`` (T,), -1 for none. None where no row has an adapter."""
        if slots is None or isinstance(slots, int):
            return None if slots is None or slots < 0 else cls(slots)
        each = slots.cpu().numpy().astype(np.int32)
        if not len(each) or each.max() < 0:
            return None
        return cls(int(each[0]) if (each == each[0]).all() else None, each, slots.device)

    @cached_property
    def active(self) -> list[int]:
        """The slots that any row uses, each once."""
        assert self.each is not None, "one slot for all"
        return [int(slot) for slot in np.unique(self.each) if slot >= 0]

    @cached_property
    def keep(self) -> Tensor:
        """(T, S), whether the row uses that one of ``active``."""
        assert self.each is not None, "one slot for all"
        return torch.from_numpy(self.each[:, None] == np.array(self.active)).to(self.device)
