"""All layers in one call against the same layers one by one."""

import itertools

import pytest
import torch
from tests.tiny import serving_decoder

from hypotez.engine.kv import Cache, Span
from hypotez.engine.paged import Paged
from hypotez.engine.precision import native_bfloat16
from hypotez.nn import tiles
from hypotez.nn.lora import attach, loras
from hypotez.nn.lora_eight import EightBitLora
from hypotez.nn.packed import Weights, pack

pytestmark = pytest.mark.skipif(
    not (native_bfloat16() and tiles.usable()), reason="the processor lacks the instruction"
)

KINDS = {
    "llama": {},
    "biases": {"family": "qwen2", "qkv_bias": True, "output_bias": True, "mlp_bias": True},
    "norms of heads": {"family": "qwen3"},
    "windows, and a layer that is not rotated": {"windows": (None, 7, None), "rotated": (True, True, False)},
    "half of a head rotated": {"family": "phi3", "rotary_fraction": 0.5},
    "a cap on the scores": {"attention_softcap": 5.0},
}
SPANS = [(0, 11), (4, 1), (16, 1), (33, 1), (20, 5)]
ADAPTED = [0] * 11 + [1, -1, 0] + [1] * 5  # the slot of each row


@torch.no_grad()
def packed(adapters=0, weights=Weights.FULL, **fields):
    decoder = serving_decoder(
        torch.bfloat16, **{"vocab_size": 96, "intermediate_size": 160, "layers": 3, "tied": False, **fields}
    )
    torch.manual_seed(1)
    for name, parameter in decoder.named_parameters():
        if name.endswith("bias") or "norm" in name:
            parameter.copy_(torch.randn(parameter.shape) * 0.2 + ("norm" in name))
    if adapters:
        attach(decoder, r=4, slots=adapters, kind=EightBitLora)
        for lora, slot in itertools.product(loras(decoder), range(adapters)):
            for part, (_, start, stop) in enumerate(lora.parts):
                lora.put(slot, part, torch.randn(4, lora.a.shape[-1]) * 0.1, torch.randn(stop - start, 4) * 0.05)
            lora.set_scale(slot, 2.0, 4)
    decoder.requires_grad_(False)
    pack(decoder, weights)
    return decoder


def step(decoder, spans, slots=None, seed=3):
    """Hidden states of spans (start, count) over a cache that holds the same at every call."""
    torch.manual_seed(seed)
    cache = Cache(decoder.config, blocks=20, size=16, dtype=torch.bfloat16)
    for tensor in (*cache.keys, *cache.values):
        tensor.normal_()
    tokens = torch.arange(sum(count for _, count in spans)) * 5 % 96
    positions = torch.cat([torch.arange(start, start + count) for start, count in spans])
    attend = Paged(cache, [Span(start, count, [3 * i, 3 * i + 1, 3 * i + 2]) for i, (start, count) in enumerate(spans)])
    with torch.inference_mode():
        hidden = decoder(tokens, positions, attend, slots)
    return hidden, [tensor for layer in range(decoder.config.layers) for tensor in cache.rows(layer)]


@pytest.mark.parametrize("slots", [None, ADAPTED], ids=["no adapters", "adapters"])
@pytest.mark.parametrize("kind", KINDS)
def test_one_call_does_what_the_layers_do(kind, slots):
    decoder = packed(adapters=2 if slots else 0, **KINDS[kind])
    slots = torch.tensor(slots) if slots else None
    assert decoder.stack is not None
    together = step(decoder, SPANS, slots)

    decoder.stack = None
    one_by_one = step(decoder, SPANS, slots)

    torch.testing.assert_close(together[0], one_by_one[0], rtol=0.05, atol=0.05)
    for kept, expected in zip(together[1], one_by_one[1], strict=True):
        torch.testing.assert_close(kept, expected, rtol=0.05, atol=0.05)


def test_weights_of_eight_bits_do_what_the_layers_do():
    decoder, slots = packed(adapters=2, weights=Weights.INT8, **KINDS["biases"]), torch.tensor(ADAPTED)
    together = step(decoder, SPANS, slots)[0]

    decoder.stack = None

    torch.testing.assert_close(together, step(decoder, SPANS, slots)[0], rtol=0.05, atol=0.05)


def test_rows_are_the_same_to_the_last_bit_in_a_step_with_more_rows_than_a_tile():
    decoder, spans = packed(), [(4, 1), (0, 30), (16, 1)]

    together, alone = step(decoder, spans)[0], step(decoder, spans[:1])[0]

    assert torch.equal(together[:1], alone)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_row_comes_out_the_same_to_the_last_bit_however_many_threads_there_are(threads):
    decoder, before = packed(), torch.get_num_threads()
    expected = step(decoder, SPANS)[0]
    torch.set_num_threads(threads)
    try:
        assert torch.equal(step(decoder, SPANS)[0], expected)
    finally:
        torch.set_num_threads(before)


def test_gemma_goes_layer_by_layer():
    assert packed(family="gemma2", activation="gelu_tanh").stack is None
