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


@pytest.mark.parametrize("threads", [1, 2], ids=["one thread", "two threads"])
@pytest.mark.parametrize("kind", ["norm", "gated unit", "rotation", "half rotation"])
def test_bfloat16_comes_as_near_to_float32_as_its_eight_bits_allow(kind, threads, request):
    request.addfinalizer(lambda before=torch.get_num_threads(): torch.set_num_threads(before))
    torch.set_num_threads(threads)
    angles = torch.randn(130, 1, 16 if kind == "rotation" else 8)
    weight, cos, sin = torch.randn(64).bfloat16(), *(f(angles).bfloat16() for f in (torch.cos, torch.sin))
    of = {
        "norm": lambda x: rms_norm(x, weight.to(x.dtype), 1e-5),
        "gated unit": lambda x: swiglu(x.flatten(1)),
        "rotation": lambda x: torch.cat(split_rotated(x.view(130, 16, 32), 8, *both(x)), 1),
    }

    def both(x):
        return torch.cat([cos, cos], -1).to(x.dtype), torch.cat([-sin, sin], -1).to(x.dtype)

    x, up = torch.randn(130, 8, 64).bfloat16(), torch.randn(130, 8, 64).flatten().bfloat16()
    found = []
    for given in (x.requires_grad_(), x.detach().float().requires_grad_()):
        out = of[kind.removeprefix("half ")](given)
        (gradient,) = torch.autograd.grad(out, given, up[: out.numel()].view_as(out).to(out.dtype))
        found.append((out, gradient))

    for ours, exact in zip(*found, strict=True):
        assert ours.dtype == torch.bfloat16
        assert ((ours.float() - exact).norm() / exact.norm()).item() < 0.004


@pytest.mark.parametrize("window", [None, 3, 300])
@pytest.mark.parametrize("lengths", [[5, 1, 9], [300, 2], [600]], ids=["short", "kept and not", "three blocks"])
def test_attention(lengths, window):
    q, k, v = (torch.randn(sum(lengths), heads, 8, requires_grad=True) for heads in (4, 2, 2))

    same(Packed(lengths, [window])(0, q, k, v), plain(q, k, v, lengths, window), (q, k, v))
