"""Attention for one ragged step: by a processor's compiled loops, which read the blocks where they lie, or by torch.

A step mixes sequences that write (one token each) with chunks of prompts. Torch does it on a GPU, for heads of an odd
size, and without numba (``gathered.py``).
"""

from collections.abc import Sequence

from torch import Tensor

from hypotez.engine.gathered import gathered
from hypotez.engine.kv import Cache, Span


class Paged:
    """The ``Attend`` of one step over ``spans``, in the order of the step's rows."""

    def __init__(self, cache: Cache, spans: Sequence[Span]) -> None:
        self._cache = cache
        self.kept = cache.kept(spans) if cache.kernels is not None else None
        self._gathered = gathered(cache, spans) if cache.kernels is None else None

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """q (T, H, Dh), k and v (T, KV, Dh) -> (T, H, Dh); k and v are kept."""
        if self._gathered is not None:
            return self._gathered(layer, q, k, v)
        config, kernels = self._cache.config, self._cache.kernels
        assert kernels is not None
        window, softcap = config.windows[layer], config.attention_softcap
        return kernels.attend(q, k, v, layer, self.kept, window, softcap)  # type: ignore[no-any-return]
