"""Memory that nobody would miss: what oneDNN keeps of shapes long gone, what malloc keeps of what was freed.
Knows no model and no engine.

For every shape of a product that it meets oneDNN makes code and a plan, a quarter of a megabyte to a whole one, and
keeps a thousand of each kind: over a gigabyte, once enough batches and prompts of different lengths have come. The
shapes of a few steps are enough; to prepare one anew takes 0.2 to 0.4 ms (Zen 5), and a random load of requests was
not slower with 64 kept than with all.
"""

import contextlib
import ctypes
import os

import torch

KEPT = 64
_SETTINGS = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")  # of the process, and of each thread


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
