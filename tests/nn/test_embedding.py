"""One copy of the embedding for looking up and for the logits."""

import pytest
import torch
from tests.tiny import serving_decoder

from hypotez.engine.precision import native_bfloat16
from hypotez.nn.attention import Packed
from hypotez.nn.embedding import SharedEmbedding, share_embedding
from hypotez.nn.packed import Weights, pack


def large(dtype, **fields):
    """Layers wide enough that the embedding is worth packing."""
    return serving_decoder(dtype, **{"vocab_size": 192, "intermediate_size": 256, "layers": 3, "tied": True, **fields})


def logits(decoder):
    tokens, attend = torch.arange(23) * 8, Packed([14, 9])
    with torch.inference_mode():
        return decoder.logits(decoder(tokens, attend.positions(), attend))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def test_a_shared_embedding_changes_nothing(dtype):
    decoder = large(dtype)
    pack(decoder)
    expected = logits(decoder)

    share_embedding(decoder)

    assert torch.equal(logits(decoder), expected)
    assert (decoder.dtype, decoder.device.type) == (dtype, "cpu")


@pytest.mark.skipif(not native_bfloat16(), reason="another processor has another order")
def test_every_row_is_found_in_the_packed_weight():
    decoder = large(torch.bfloat16)
    rows = decoder.embed_tokens.weight.clone()
    pack(decoder)

    share_embedding(decoder)

    assert isinstance(decoder.embed_tokens, SharedEmbedding)
    assert torch.equal(decoder.embed_tokens(torch.arange(192)), rows)


def test_a_token_that_the_vocabulary_lacks_is_an_error():
    decoder = large(torch.bfloat16)
    pack(decoder)
    share_embedding(decoder)

    with torch.inference_mode(), pytest.raises(IndexError):
        decoder.embed_tokens(torch.tensor([3, 192]))


@pytest.mark.parametrize(("tied", "weights"), [(False, Weights.FULL), (True, Weights.INT8)], ids=["apart", "rounded"])
def test_an_embedding_that_is_no_product_is_kept(tied, weights):
    decoder = large(torch.bfloat16, tied=tied)
    pack(decoder, weights)

    share_embedding(decoder)

    assert isinstance(decoder.embed_tokens, torch.nn.Embedding)
