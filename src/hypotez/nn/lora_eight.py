"""Adapters in eight bits, for serving many at once: a step of few rows is the time of reading what it needs, and eight
adapters of rank 16 are a quarter of a small model.

Each number of the thin row has a step of its own for what lies before it and one for what lies behind it, so that
rounding costs about one percent of what the adapter adds, less than bfloat16 costs the weights beside it. Knows no
files.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from hypotez.nn.fused import installed
from hypotez.nn.linear import Linear
from hypotez.nn.lora import Lora
from hypotez.nn.rows import Rows


class EightBitLora(Lora):
    """``a`` and ``b`` are codes, -127 to 127. Read by the compiled loops alone, and never trained."""

    def __init__(
        self, linear: Linear, parts: Sequence[tuple[str, int, int]], r: int, slots: int, dtype: torch.dtype
    ) -> None:
        super().__init__(linear, parts, r, slots, torch.int8)
        self._steps = np.ones_like(self.factors)  # of a number of the thin row, those of ``a`` and ``b`` multiplied
        self._ups = np.empty(len(parts), np.int64)  # addresses of ``b``

    def put(self, slot: int, part: int, a: Tensor | None, b: Tensor | None) -> None:
        kernels = installed("kernels")
        assert kernels is not None, "nobody could read what would be written"
        rank, first = 0, part * self.r
        if a is not None and b is not None:
            rank = len(a)
            codes = self.a[slot, first : first + rank], self.b[part][slot, :rank]
            kernels.eight_bits(a, b.to(a), *codes, self._steps[slot, first : first + rank])
        self._empty(slot, part, rank)

    def read(self, slot: int, part: int) -> tuple[Tensor, Tensor]:
        first, stop = part * self.r, (part + 1) * self.r
        steps = torch.from_numpy(self._steps[slot, first:stop])
        return self.a[slot, first:stop] * steps[:, None], self.b[part][slot].t().float()

    def set_scale(self, slot: int, scale: float, rank: int) -> None:
        super().set_scale(slot, scale, rank)
        self.factors[slot] *= self._steps[slot]

    def add(self, y: Tensor, x: Tensor, rows: Rows) -> None:
        assert rows.each is not None, "the compiled loops are told each row's slot"
        super().add(y, x, rows)

    def places(self) -> tuple[int, ...]:
        """Where the slots lie, as ``stack_loops.LORA_FIELDS`` says."""
        self._ups[:] = [part.data_ptr() for part in self.b]
        tables = (table.ctypes.data for table in (self._ups, self.factors, self.spans))
        return self.a.data_ptr(), *tables, len(self.parts), self.a.shape[1], self.slots

    def _numbers(self, dtype: torch.dtype) -> tuple[Tensor, Sequence[Tensor]]:
        return self.a, self.b  # type: ignore[return-value]
