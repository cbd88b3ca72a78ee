"""Where keys and values of one step lie, for compiled loops that read and write them there. Knows no model."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Kept:
    """Of all layers alike, but for the addresses."""

    addresses: NDArray[np.int64]  # (layers, 2): of the keys and the values, each of ``shape``
    shape: tuple[int, int, int, int]  # (blocks, KV, size, Dh)
    # The blocks of each sequence (S, width), and of each row its sequence and its position (T,)
    places: tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]
    paired: bool  # laid out as ``paired_loops`` says, not as ``shape`` does
    work: int  # keys that all rows see, together
