"""Hand-written ways back against autograd's on the plain formulas."""

import pytest
import torch
import torch.nn.functional as F

from hypotez.nn.attention import Packed, plain
from hypotez.nn.fused import rms_norm, split_rotated, swiglu
from hypotez.nn.rope import rotate


def same(ours, theirs, inputs):
    """Values and gradients of two expressions of the same inputs, under a random upstream."""
    torch.testing.assert_close(ours, theirs)
    upstream = torch.randn_like(theirs)
    mine, other = (torch.autograd.grad(y, inputs, upstream) for y in (ours, theirs))
    for name, a, b in zip("abc", mine, other, strict=False):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5, msg=lambda m, name=name: f"{name}: {m}")


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def test_rms_norm():
    x, weight = torch.randn(5, 3, 8, requires_grad=True), torch.randn(8, requires_grad=True)

    same(rms_norm(x, weight, 1e-5), F.rms_norm(x, (8,), weight, 1e-5), (x, weight))


def test_rms_norm_of_half_precision_is_reduced_in_float32():
    x = (torch.randn(4, 512) * 30).bfloat16()
    exact = F.rms_norm(x.double(), (512,), None, 1e-5)

    out = rms_norm(x, torch.ones(512, dtype=torch.bfloat16), 1e-5)

    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.double(), exact, rtol=2**-8, atol=1e-3)


def test_swiglu():
    x = torch.randn(5, 12, requires_grad=True)
    gate, up = x.chunk(2, -1)

    same(swiglu(x), F.silu(gate) * up, (x,))


@pytest.mark.parametrize("half", [4, 2], ids=["whole heads", "half of each head"])
def test_split_rotated(half):
    qkv, angles = torch.randn(5, 8, 8, requires_grad=True), torch.randn(5, 1, half)
    cos, sin = torch.cat([angles.cos()] * 2, -1), torch.cat([-angles.sin(), angles.sin()], -1)
    expected = [rotate(qkv[:, :4], cos, sin), rotate(qkv[:, 4:6], cos, sin), qkv[:, 6:]]

    ours = split_rotated(qkv, 4, cos, sin)

    same(torch.cat(ours, 1), torch.cat(expected, 1), (qkv,))


@pytest.mark.parametrize("window", [None, 3, 300])
@pytest.mark.parametrize("lengths", [[5, 1, 9], [300, 2], [600]], ids=["short", "kept and not", "three blocks"])
def test_attention(lengths, window):
    q, k, v = (torch.randn(sum(lengths), heads, 8, requires_grad=True) for heads in (4, 2, 2))

    same(Packed(lengths, [window])(0, q, k, v), plain(q, k, v, lengths, window), (q, k, v))
