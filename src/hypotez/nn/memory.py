"""Memory: room in large pages for what every step reads; and what nobody would miss given back, what oneDNN keeps of
shapes long gone and malloc of what was freed. Knows no model and no engine.

For every shape of a product that it meets oneDNN makes code and a plan, a quarter of a megabyte to a whole one, and
keeps a thousand of each kind: over a gigabyte, once enough batches and prompts of different lengths have come. The
shapes of a few steps are enough; to prepare one anew takes 0.2 to 0.4 ms (Zen 5), and a random load of requests was
not slower with 64 kept than with all.
"""

import contextlib
import ctypes
import math
import mmap
import os
from collections.abc import Sequence

import torch

KEPT = 64
_LARGE, _LINE = 1 << 21, 64  # bytes of a large page, and of a line of the cache
_OURS = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
_SETTINGS = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")  # of the process, and of each thread


class Arena:
    """Room for tensors side by side, in pages of 2 MB where the system has them; a page is taken when it is written to.

    Weights scattered over small pages, as malloc leaves them after others were freed, are read at two thirds of the
    speed.
    """

    def __init__(self, size: int) -> None:
        """``size`` bytes; each tensor begins at a line of the cache, which may take up to 63 more."""
        self._left = size
        if size == 0:
            return
        self._memory = mmap.mmap(-1, size + _LARGE, flags=_OURS)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            with contextlib.suppress(OSError):  # a system that gives none
                self._memory.madvise(mmap.MADV_HUGEPAGE)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        self._at = -start % _LARGE

    def keep(self, tensor: torch.Tensor) -> torch.Tensor:
        """A contiguous copy of the tensor, here; the tensor itself, contiguous, where there is no room left."""
        size = -(-tensor.nbytes // _LINE) * _LINE
        if size > self._left or tensor.nbytes == 0:
            return tensor.contiguous()
        kept = torch.frombuffer(self._memory, dtype=tensor.dtype, count=tensor.numel(), offset=self._at)
        self._at, self._left = self._at + size, self._left - size
        return kept.view(tensor.shape).copy_(tensor)


def zeros(shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Zeros, of which a page takes memory only once it is written to; on other devices than a processor all do."""
    size = math.prod(shape) * dtype.itemsize
    if device.type != "cpu" or size < _LARGE // 32:
        return torch.zeros(*shape, dtype=dtype, device=device)
    return torch.frombuffer(mmap.mmap(-1, size, flags=_OURS), dtype=dtype).view(*shape)


def keep_few(count: int = KEPT) -> None:
    """Let this thread keep ``count`` shapes of each kind of product. To be called before the thread's first product,
    for the first one reads the settings, and never again. Settings of the user's own stay as they are.
    """
    mine = [name for name in _SETTINGS if name not in os.environ]
    os.environ.update(dict.fromkeys(mine, str(count)))
    try:
        _products()
    finally:
        for name in mine:
            del os.environ[name]  # not for the processes that we start


def give_back() -> None:
    """Return to the system what malloc holds and nobody uses: some tens of megabytes after a busy time, in a few ms."""
    with contextlib.suppress(AttributeError, OSError):  # only glibc has it
        ctypes.CDLL(None).malloc_trim(0)


@torch.no_grad()
def _products() -> None:
    """One product of each kind that a serving step has."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return
    kinds = [torch.float32]
    if torch.ops.mkldnn._is_mkldnn_bf16_supported():
        kinds.append(torch.bfloat16)
    for dtype in kinds:
        x = torch.zeros(32, 32, dtype=dtype)
        weight = torch.ops.mkldnn._reorder_linear_weight(x, None)
        torch.ops.mkldnn._linear_pointwise(x, weight, None, "none", [], "")
        torch.ops.mkldnn._linear_pointwise.binary(x, x, weight, None, "add")
        torch.mm(x, x)
        torch.bmm(x[None], x[None])
        torch.addmm(x, x, x)
