"""Attention over blocks equals attention token by token, whatever is mixed in a step."""

import random

import pytest
import torch

from hypotez.engine.kv import Cache, Span, plain
from hypotez.engine.paged import Paged
from hypotez.nn.config import DecoderConfig


@pytest.mark.parametrize("softcap", [None, 5.0])
@pytest.mark.parametrize("window", [None, 9])
def test_a_mixed_step_equals_attention_token_by_token(window, softcap):
    dice = random.Random(1)
    config = DecoderConfig(
        vocab_size=8, hidden_size=32, intermediate_size=8, layers=1, heads=4, kv_heads=2, head_dim=8,
        windows=(window,), attention_softcap=softcap,
    )  # fmt: skip
    cache = Cache(config, blocks=200, size=4, dtype=torch.float32)
    torch.manual_seed(0)
    cache.keys[0].normal_()
    cache.values[0].normal_()
    free = dice.sample(range(200), 200)
    shapes = [(0, 1), (3, 1), (11, 1), (100, 1), (300, 1), (0, 13), (17, 9)]
    spans = [Span(start, count, [free.pop() for _ in range(-(-(start + count) // 4))]) for start, count in shapes]
    rows = sum(span.count for span in spans)
    q, k, v = torch.randn(rows, 4, 8), torch.randn(rows, 2, 8), torch.randn(rows, 2, 8)

    out = Paged(cache, spans)(0, q, k, v)

    expected = [
        plain(cache, 0, part, span, window, softcap)
        for part, span in zip(q.split([span.count for span in spans]), spans, strict=True)
    ]
    torch.testing.assert_close(out, torch.cat(expected), atol=1e-5, rtol=1e-4)


def test_keys_and_values_land_in_their_blocks():
    config = DecoderConfig(vocab_size=8, hidden_size=8, intermediate_size=8, layers=1, heads=1, kv_heads=1, head_dim=8)
    cache = Cache(config, blocks=4, size=2, dtype=torch.float32)
    k = torch.arange(24.0).view(3, 1, 8)

    Paged(cache, [Span(0, 3, [2, 1])])(0, k, k, k)

    assert torch.equal(cache.keys[0][2, 0], k[:2, 0])
    assert torch.equal(cache.values[0][1, 0, 0], k[2, 0])
