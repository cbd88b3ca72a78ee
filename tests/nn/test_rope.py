"""Angles looked up, against angles by the formula."""

import pytest
import torch
from tests.tiny import serving_decoder

from hypotez.nn.rope import Rope


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_positions_farther_than_ever_are_turned_by_the_formula(dtype):
    rope = Rope(serving_decoder(dtype, vocab_size=96, intermediate_size=96, layers=1).config, 10000.0, None)

    for farthest in (0, 5, 1023, 1024, 7000, 3):
        positions = torch.tensor([farthest, 0, farthest // 2])
        with torch.inference_mode(farthest % 2 == 1):
            cos, sin = rope(positions, dtype)

        angles = positions[:, None].float() * rope.frequencies
        assert torch.equal(cos[:, 0], torch.cat([angles.cos(), angles.cos()], 1).to(dtype))
        assert torch.equal(sin[:, 0], torch.cat([-angles.sin(), angles.sin()], 1).to(dtype))
