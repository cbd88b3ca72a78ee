"""The ways back of norm, gated unit and rotation, and attention's softmax, in one pass over memory each, for training.

In torch they are thirty calls a layer and a tenth of a step. Sums are float32. For a processor; the tests compare with
autograd. bfloat16 only. The loops are compiled when they are first called (some seconds, once: numba keeps them).
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hypotez.nn import loops_back
from hypotez.nn.native import Guarded

_KIND = "bfloat16"
_norm, _swiglu = Guarded(loops_back.norm), Guarded(loops_back.swiglu)
_join, _softmax = Guarded(loops_back.join), Guarded(loops_back.softmax)


def rms_norm(dy: Tensor, x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """dy and x (..., D), weight (D,) -> the gradient of x."""
    dy, x = dy.contiguous(), x.contiguous()
    dx, size = torch.empty_like(x), x.shape[-1]
    arrays = _array(dy).reshape(-1, size), _array(x).reshape(-1, size), _array(weight)
    _norm(_KIND, *arrays, eps, _array(dx).reshape(-1, size))
    return dx


def swiglu(dy: Tensor, gate_up: Tensor) -> Tensor:
    """dy (T, N), gate_up (T, 2 N) -> the gradient of gate_up."""
    both = torch.empty_like(gate_up, memory_format=torch.contiguous_format)
    _swiglu(_KIND, _array(dy.contiguous()), _array(gate_up.contiguous()), _array(both))
    return both


def join_rotated(dq: Tensor, dk: Tensor, dv: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """dq (T, H, Dh), dk and dv (T, KV, Dh) -> (T, H + 2 KV, Dh), dq and dk turned back; all of Dh is turned."""
    dqkv = dq.new_empty(len(dq), dq.shape[1] + 2 * dk.shape[1], dq.shape[2])
    arrays = [_array(t.contiguous()).reshape(len(t), -1) for t in (dq, dk, dv, cos, sin, dqkv)]
    _join(_KIND, *arrays)
    return dqkv


def softmax_(scores: Tensor, scale: float, queries: int, offset: int, window: int | None) -> Tensor:
    """Causal softmax of scores (N, G * queries, keys) times ``scale``, in place; the first query is key ``offset``."""
    keys = scores.shape[-1]
    rows = _array(scores).reshape(-1, keys)
    _softmax(_KIND, rows, scale, queries, offset, window or keys)
    return scores


def _array(tensor: Tensor) -> NDArray[np.generic]:
    """The same memory as numpy sees it: bfloat16 as the bits."""
    return tensor.detach().view(torch.uint16).numpy()
