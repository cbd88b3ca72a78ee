"""The model's own alphabet: byte-level BPE over the training text, digits one by one. Knows no tensors."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import tokenizers
from tokenizers import Regex, decoders, models, pre_tokenizers, trainers

from hypotez.pocket.conversation import segments
from hypotez.pocket.curriculum import stream
from hypotez.text.template import CHATML

START, END, OUT = "<|im_start|>", "<|im_end|>", "<|endoftext|>"
MARKS = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")
# Words with their leading blank, every digit alone (sums are learnt digit by digit), punctuation, blanks.
PIECES = r" ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def train(seed: int, conversations: int, vocabulary: int) -> tokenizers.Tokenizer:
    """A tokenizer of `vocabulary` entries from that many conversations."""
    tokenizer = tokenizers.Tokenizer(models.BPE(byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([OUT, START, END])
    tokenizer.add_tokens([tokenizers.AddedToken(mark, normalized=False) for mark in MARKS])
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=[OUT, START, END], min_frequency=3, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator(_texts(seed, conversations), trainer)
    return tokenizer


def _texts(seed: int, conversations: int) -> Iterator[str]:
    for conversation in itertools.islice(stream(seed), conversations):
        for turn in conversation.turns:
            yield turn.content
        if conversation.tools:
            yield "".join(text for text, _ in segments(conversation))


def save(tokenizer: tokenizers.Tokenizer, folder: Path, context: int) -> None:
    """tokenizer.json, its config, the chat template and generation_config.json, as Hugging Face lays them out."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "chat_template.jinja").write_text(CHATML + "\n", encoding="utf-8")
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast", "eos_token": END, "pad_token": OUT, "model_max_length": context,
        "clean_up_tokenization_spaces": False, "add_bos_token": False,
    }  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    ends = [token(tokenizer, END), token(tokenizer, OUT)]
    generation = {"eos_token_id": ends, "pad_token_id": ends[1], "do_sample": False}
    (folder / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n", encoding="utf-8")


def token(tokenizer: tokenizers.Tokenizer, mark: str) -> int:
    """The id of one of the marks above."""
    found = tokenizer.token_to_id(mark)
    assert found is not None
    return found


def ids(tokenizer: tokenizers.Tokenizer, parts: list[tuple[str, bool]]) -> tuple[list[int], list[bool]]:
    """Token ids of a conversation's segments and, for each, whether it is learned."""
    out, learned = [], []
    for text, flag in parts:
        found = tokenizer.encode(text, add_special_tokens=False).ids
        out += found
        learned += [flag] * len(found)
    return out, learned
