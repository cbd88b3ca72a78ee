"""The packed path gives what one big mask gives."""

import pytest
import torch

from hypotez.nn.attention import Packed, plain


@pytest.mark.parametrize("lengths", [[5, 1, 9], [4, 4, 4], [7]], ids=["ragged", "equal", "one"])
@pytest.mark.parametrize("window", [None, 3])
@pytest.mark.parametrize("softcap", [None, 2.0])
def test_packed_equals_the_mask_written_out(lengths, window, softcap):
    torch.manual_seed(0)
    q, k, v = (torch.randn(sum(lengths), heads, 8) for heads in (4, 2, 2))

    fast = Packed(lengths, [window], softcap)(0, q, k, v)

    torch.testing.assert_close(fast, plain(q, k, v, lengths, window, softcap))


@pytest.mark.parametrize("window", [None, 3, 300])
@pytest.mark.parametrize("lengths", [[5, 1, 9], [300, 2], [600]], ids=["short", "kept and not", "three blocks"])
def test_bfloat16_is_as_near_to_the_mask_as_its_eight_bits_allow(lengths, window):
    torch.manual_seed(0)
    given = [torch.randn(sum(lengths), heads, 8).bfloat16().requires_grad_() for heads in (4, 2, 2)]
    exact = [t.detach().float().requires_grad_() for t in given]
    up = torch.randn(sum(lengths), 4, 8)

    out, expected = Packed(lengths, [window])(0, *given), plain(*exact, lengths, window)
    ours = torch.autograd.grad(out, given, up.bfloat16())
    theirs = torch.autograd.grad(expected, exact, up.bfloat16().float())

    for found, wanted in zip((out, *ours), (expected, *theirs), strict=True):
        assert ((found.float() - wanted).norm() / wanted.norm()).item() < 0.01


def test_changing_one_sequence_changes_no_other():
    torch.manual_seed(0)
    q, k, v = (torch.randn(12, 2, 8) for _ in range(3))
    attend = Packed([4, 8])
    before = attend(0, q, k, v)

    k[:4] += 1

    after = attend(0, q, k, v)
    assert torch.equal(after[4:], before[4:])
    assert not torch.equal(after[:4], before[:4])
