"""Tiny random models of every family give the logits that transformers gives on the same weights."""

import json
from pathlib import Path

import pytest
import torch

from hypotez.nn.attention import Packed
from hypotez.nn.config import from_hf
from hypotez.nn.decoder import Decoder
from hypotez.nn.load import load, save

transformers = pytest.importorskip("transformers")

TINY = {
    "vocab_size": 128,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "initializer_range": 0.3,
    "attn_implementation": "eager",
}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
    "rope_theta": 500.0,
}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16, "rope_theta": 10000.0}
LONG = {
    "rope_type": "longrope",
    "short_factor": [1.0, 1.2, 1.5, 2.0],
    "long_factor": [1.0, 2.0, 3.0, 4.0],
    "rope_theta": 10000.0,
}
CASES = {
    "llama": ("Llama", {}),
    "llama-heads-wider-than-hidden": ("Llama", {"head_dim": 16}),
    "llama-one-key-value-head": ("Llama", {"num_key_value_heads": 1}),
    "llama-biased": ("Llama", {"attention_bias": True, "mlp_bias": True}),
    "llama-tied": ("Llama", {"tie_word_embeddings": True}),
    "llama3-rope": ("Llama", {"rope_parameters": LLAMA3}),
    "llama-linear-rope": ("Llama", {"rope_parameters": {"rope_type": "linear", "factor": 3.0, "rope_theta": 1e4}}),
    "mistral-window": ("Mistral", {"sliding_window": 5}),
    "mistral": ("Mistral", {"sliding_window": None}),
    "qwen2": ("Qwen2", {}),
    "qwen2-window": ("Qwen2", {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 2}),
    "qwen2-yarn": ("Qwen2", {"rope_parameters": YARN}),
    "qwen3": ("Qwen3", {}),
    "qwen3-tied": ("Qwen3", {"tie_word_embeddings": True}),
    "smollm3": ("SmolLM3", {}),
    "gemma2": ("Gemma2", {"sliding_window": 5, "query_pre_attn_scalar": 12}),
    "gemma3": ("Gemma3Text", {"sliding_window": 5, "query_pre_attn_scalar": 12, "num_hidden_layers": 6}),
    "phi3": ("Phi3", {"sliding_window": 6}),
    "phi3-partial": ("Phi3", {"rope_parameters": {"rope_theta": 1e4, "partial_rotary_factor": 0.5}}),
    "phi3-longrope": ("Phi3", {"rope_parameters": LONG, "original_max_position_embeddings": 8}),
}
LENGTHS = [13, 1, 9, 20]


@pytest.fixture(params=CASES.values(), ids=CASES)
def theirs(request, tmp_path: Path):
    """A random transformers model and the folder it was saved to."""
    name, changes = request.param
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**TINY | changes)
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():  # norms of one and biases of zero would hide a mistake in them
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter) * 0.3)
    model.save_pretrained(tmp_path)
    return model, tmp_path


def sequences() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(3, 128, (n,), generator=generator) for n in LENGTHS]


@torch.no_grad()
def ragged_logits(decoder: Decoder, batch: list[torch.Tensor]) -> torch.Tensor:
    attend = Packed([len(s) for s in batch], decoder.config.windows, decoder.config.attention_softcap)
    return decoder.logits(decoder(torch.cat(batch), attend.positions(), attend))


def test_ragged_logits_equal_transformers_one_by_one(theirs):
    model, folder = theirs
    batch = sequences()
    if folder.joinpath("config.json").read_text().count("longrope"):
        batch = [s for s in batch if len(s) > 8]  # shorter calls get other factors there, see rope.py

    ours = ragged_logits(load(folder), batch)
    expected = torch.cat([model(s[None]).logits[0] for s in batch])

    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=2e-5 * float(expected.detach().abs().max()))


def test_saved_model_is_read_by_transformers_and_equal(theirs, tmp_path_factory):
    model, folder = theirs
    again = tmp_path_factory.mktemp("again")

    save(load(folder), again)
    reread = transformers.AutoModelForCausalLM.from_pretrained(again, attn_implementation="eager")

    tokens = sequences()[3][None]
    torch.testing.assert_close(reread(tokens).logits, model(tokens).logits)


def test_config_survives_the_way_there_and_back(theirs):
    config = from_hf(json.loads((theirs[1] / "config.json").read_text()))

    assert from_hf(json.loads(json.dumps(config.to_hf()))) == config
