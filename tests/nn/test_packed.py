"""Weights laid out for serving against the plain ones."""

import pytest
import torch
import torch.nn.functional as F
from tests.tiny import serving_decoder

from hypotez.errors import SettingsError
from hypotez.nn.attention import Packed
from hypotez.nn.linear import Linear
from hypotez.nn.lora import attach, initialise, loras
from hypotez.nn.packed import GROUP, Weights, four_bits, pack


def small(dtype=torch.bfloat16, **fields):
    return serving_decoder(dtype, **{"vocab_size": 96, "intermediate_size": 96, "layers": 2, "tied": False, **fields})


def logits(decoder, slots=None):
    tokens, attend = torch.arange(23) * 3, Packed([14, 9])
    with torch.inference_mode():
        return decoder.logits(decoder(tokens, attend.positions(), attend, slots)).float()


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def test_a_packed_decoder_says_what_the_plain_one_says(dtype, tied):
    decoder = small(dtype, tied=tied, vocab_size=96)
    expected = logits(decoder)

    pack(decoder)

    tolerance = {"rtol": 1e-4, "atol": 1e-5} if dtype is torch.float32 else {"rtol": 0.05, "atol": 0.03}
    torch.testing.assert_close(logits(decoder), expected, **tolerance)


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize(("weights", "worst"), [(Weights.FULL, 0.003), (Weights.INT8, 0.008), (Weights.INT4, 0.11)])
def test_a_product_is_near_the_exact_one(weights, worst, bias):
    torch.manual_seed(0)
    decoder = small()
    linear = next(m for m in decoder.modules() if isinstance(m, Linear))
    linear.bias = torch.nn.Parameter(torch.randn(linear.outputs).bfloat16(), requires_grad=False) if bias else None
    x, residual = torch.randn(7, 64).bfloat16(), torch.randn(7, linear.outputs).bfloat16()
    exact = F.linear(x.double(), linear.weight.double(), linear.bias.double() if bias else None) + residual.double()

    pack(decoder, weights)
    with torch.inference_mode():
        ours = linear(x, residual=residual).double()

    assert ((ours - exact).norm() / exact.norm()).item() < worst


@pytest.mark.parametrize("weights", list(Weights))
def test_a_row_does_not_depend_on_the_rows_beside_it(weights):
    decoder = small()
    linear = next(m for m in decoder.modules() if isinstance(m, Linear))
    pack(decoder, weights)
    x = torch.randn(40, 64).bfloat16()

    with torch.inference_mode():
        together = linear(x)
        for rows in (1, 2, 8, 17, 33):
            assert torch.equal(linear(x[:rows]), together[:rows])


def test_four_bits_are_as_near_as_their_scale_allows():
    weight = torch.randn(32, 4 * GROUP, generator=torch.Generator().manual_seed(0))
    codes, scale, middle = four_bits(weight)
    back = ((codes.unflatten(1, (-1, GROUP)) - 8) * scale[..., None] + middle[..., None]).flatten(1)
    full_range = weight.unflatten(1, (-1, GROUP))
    step = (full_range.amax(-1) - full_range.amin(-1)) / 15

    assert codes.min() >= 0
    assert codes.max() <= 15
    assert (back - weight).square().mean() < step.square().mean() / 12


@pytest.mark.parametrize("weights", list(Weights))
def test_adapters_work_beside_packed_weights(weights):
    def change(decoder):
        attach(decoder, 4, slots=2)
        for slot in range(2):
            initialise(decoder, slot, 4, 8.0, slot)
            for lora in loras(decoder):
                for b in lora.b:
                    b.data[slot].normal_(0, 0.05, generator=torch.Generator().manual_seed(slot))
        return logits(decoder, torch.tensor([0] * 14 + [1] * 9)) - logits(decoder)

    plain, packed = small(torch.float32), small(torch.float32)
    pack(packed, weights)
    expected, found = change(plain), change(packed)

    assert ((found - expected).norm() / expected.norm()).item() < (0.5 if weights is Weights.INT4 else 0.05)


def test_rounded_weights_need_a_processor():
    decoder = small().to("meta")

    with pytest.raises(SettingsError, match=r"int4 weights need the CPU.*engine.weights to full"):
        pack(decoder, Weights.INT4)
