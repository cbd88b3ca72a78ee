"""What a GPU gives the engine, on a processor: a recorder that plays tapes, and attention like ``varlen_attn``."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Tape(TorchDispatchMode):
    """Every operation of torch, with its arguments as they were: like a CUDA graph, it knows memory and no Python."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten._local_scalar_dense.default:
            raise RuntimeError("operation not permitted when stream is capturing")
        out = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, out))
        return out

    def play(self):
        """The same on the same memory; nothing new is left behind."""
        for func, args, kwargs, out in self.calls:
            for old, new in zip(tensors(out), tensors(func(*args, **kwargs)), strict=True):
                if old.untyped_storage().data_ptr() != new.untyped_storage().data_ptr():
                    old.copy_(new)


class TapeRecorder:
    def __init__(self):
        self.recorded = self.played = 0

    def record(self, run):
        run()
        with Tape() as tape:
            out = run()
        out.zero_()  # a graph that is recorded has computed nothing yet
        self.recorded += 1

        def again():
            tape.play()
            self.played += 1

        return out, again


class NoRecorder:
    """A machine on which recording fails."""

    def __init__(self):
        self.asked = 0

    def record(self, run):
        self.asked += 1
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing")


def varlen(q, k, v, cu_q, cu_k, max_q, max_k, *, window_size, enable_gqa, seqused_k):
    """``torch.nn.attention.varlen.varlen_attn``, by its documentation."""
    assert enable_gqa
    assert (cu_q.dtype, cu_k.dtype, seqused_k.dtype) == (torch.int32,) * 3
    assert q.stride(-1) == k.stride(-1) == v.stride(-1) == 1
    return torch.ops.hypotez_tests.varlen(q, k, v, cu_q, cu_k, max_q, max_k, list(window_size), seqused_k)


@torch.library.custom_op("hypotez_tests::varlen", mutates_args=())
def _varlen(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, cu_q: torch.Tensor, cu_k: torch.Tensor,
    max_q: int, max_k: int, window: list[int], used: torch.Tensor,
) -> torch.Tensor:  # fmt: skip
    """One operation, which may look at what it is given."""
    out, (left, right) = torch.empty(q.shape, dtype=q.dtype), window
    for i, length in enumerate(used.tolist()):
        rows = slice(int(cu_q[i]), int(cu_q[i + 1]))
        count, first = rows.stop - rows.start, int(cu_k[i])
        assert count <= max_q
        assert length <= max_k
        assert first + length <= int(cu_k[i + 1])
        keys, values = (t[first : first + length].repeat_interleave(q.shape[1] // k.shape[1], 1) for t in (k, v))
        place = torch.arange(count)[:, None] + length - count  # the last row is the last key
        ahead = torch.arange(length) - place
        seen = ((ahead <= right) | (right < 0)) & ((-ahead <= left) | (left < 0))
        scores = torch.einsum("qhd,khd->hqk", q[rows], keys) * q.shape[-1] ** -0.5
        out[rows] = torch.einsum("hqk,khd->qhd", scores.masked_fill(~seen, float("-inf")).softmax(-1), values)
    return out


def tensors(out):
    return [leaf for leaf in tree_leaves(out) if isinstance(leaf, torch.Tensor)]
