"""Small random decoders."""

import pytest
import torch

from hypotez.nn.config import DecoderConfig
from hypotez.nn.decoder import Decoder


@pytest.fixture
def config() -> DecoderConfig:
    return DecoderConfig(
        vocab_size=64, hidden_size=32, intermediate_size=48, layers=2, heads=4, kv_heads=2, head_dim=8,
        initializer_range=0.2,
    )  # fmt: skip


@pytest.fixture
def decoder(config) -> Decoder:
    decoder = Decoder(config)
    decoder.reset(seed=0)
    return decoder.requires_grad_(False)


@pytest.fixture
def batch() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(0, 64, (n,), generator=generator) for n in (7, 1, 12, 4)]
