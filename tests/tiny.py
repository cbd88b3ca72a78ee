"""Tiny models built in a test: a BPE tokenizer over bytes, its folder, random weights by the ``nn`` room."""

import json
from pathlib import Path

import tokenizers
import torch
from tokenizers import decoders, models, pre_tokenizers, trainers

from hypotez.nn.config import DecoderConfig
from hypotez.nn.decoder import Decoder
from hypotez.nn.load import save
from hypotez.nn.lora import attach, initialise, loras

CORPUS = [
    "The capital of France is Paris. What is the weather like in Paris today?",
    '{"name": "get_weather", "arguments": {"city": "Paris", "unit": "celsius"}}',
    "Столица Франции - Париж. Какая сегодня погода в Париже?",
    "Hello! How can I help you? user assistant system tool",
]
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def bpe(vocab_size: int = 384) -> tokenizers.Tokenizer:
    """A byte-level BPE tokenizer with ChatML's tokens: ``<|endoftext|>`` 0, ``<|im_start|>`` 1, ``<|im_end|>`` 2."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def tokenizer_folder(folder: Path, template: str | None = None, **config: object) -> Path:
    """``folder`` with a tokenizer, its config and, when given, a chat template."""
    folder.mkdir(parents=True, exist_ok=True)
    bpe().save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", **config})
    )
    if template is not None:
        (folder / "chat_template.jinja").write_text(template)
    return folder


def serving_decoder(dtype: torch.dtype, **fields: object) -> Decoder:
    """Random weights that no test trains, always the same; ``fields`` are the config's, where they matter."""
    shape = {"hidden_size": 64, "heads": 4, "kv_heads": 2, "head_dim": 16, "initializer_range": 0.1}
    decoder = Decoder(DecoderConfig(**{**shape, **fields}))
    decoder.reset(seed=0)
    return decoder.to(dtype).requires_grad_(False)


def model_folder(folder: Path, seed: int = 0, context: int = 1024) -> Path:
    """``folder`` with a two-layer Llama of random weights and the tokenizer above; it babbles, always the same."""
    tokenizer_folder(folder)
    config = DecoderConfig(
        vocab_size=384,
        hidden_size=64,
        intermediate_size=128,
        layers=2,
        heads=4,
        kv_heads=2,
        head_dim=32,
        max_positions=context,
        eos_token_ids=(2,),
    )
    decoder = Decoder(config)
    decoder.reset(seed)
    with torch.no_grad():  # louder than at birth, so that different prompts get different replies
        for parameter in decoder.parameters():
            if parameter.dim() > 1:
                parameter *= 5
    save(decoder, folder)
    return folder


def random_adapter(decoder: Decoder, spread: float, seed: int = 0, drawn: int = 0) -> None:
    """An adapter of rank 4 in slot 0, as in the middle of training: it changes what the decoder says."""
    attach(decoder, 4)
    initialise(decoder, 0, 4, 8.0, seed=seed)
    generator = torch.Generator().manual_seed(drawn)
    with torch.no_grad():
        for lora in loras(decoder):
            for b in lora.b:
                b.copy_(torch.randn(b.shape, generator=generator) * spread)
