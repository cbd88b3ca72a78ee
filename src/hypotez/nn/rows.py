"""Which adapter each row of one forward pass uses, worked out once for all layers.

When rows differ, the adapters in use sit side by side in *seats*, each layer's in one matrix. A pass asks for a seating
much like the one before, so that an adapter is moved when its sequence joins the batch and not at every step. Knows no
adapters, only the numbers of their slots.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Rows:
    """The slot that every row uses, if it is one, and the seats and which of them each row uses."""

    slot: int | None
    seats: tuple[int, ...] = ()  # the slot in each seat; none where ``of`` was given one slot for all
    seat: NDArray[np.int32] | None = None  # (T,), -1 for none
    keep: Tensor | None = None  # (T, S), 1 where the row uses the slot in that seat; only where rows differ

    @classmethod
    def of(cls, slots: Tensor | int | None, dtype: torch.dtype, before: Sequence[int] = ()) -> Self | None:
        """``slots`` (T,), -1 for none; ``before`` the seats of the last pass. None where no row has an adapter."""
        if slots is None or isinstance(slots, int):
            return None if slots is None or slots < 0 else cls(slots)
        wanted = slots.tolist()
        active = set(wanted) - {-1}
        if not active:
            return None
        seats = seated(active, before)
        places = {slot: place for place, slot in enumerate(seats)}
        seat = np.array([places.get(slot, -1) for slot in wanted], np.int32)
        if len(set(wanted)) == 1:
            return cls(wanted[0], seats, seat)
        keep = slots[:, None] == torch.tensor(seats, device=slots.device)
        return cls(None, seats, seat, keep.to(dtype))


def seated(active: Iterable[int], before: Sequence[int]) -> tuple[int, ...]:
    """A seat for each of ``active``: the one it has, else one that nobody active has, else one more.

    A seat that nobody uses costs each row as much as one in use, so there are at most two more than needed.
    """
    wanted = set(active)
    seats = list(before)
    coming = sorted(wanted - set(seats))
    for i, slot in enumerate(seats):
        if coming and slot not in wanted:
            seats[i] = coming.pop()
    seats += coming
    while seats and seats[-1] not in wanted:
        seats.pop()
    return tuple(seats) if len(seats) <= len(wanted) + 2 else tuple(sorted(wanted))
