"""Models to export: every family with random weights and a random adapter; and what our own engine says with one."""

import asyncio
from pathlib import Path

import tokenizers
import torch
from tests.nn.test_families import CASES, TINY
from tests.tiny import CORPUS, SPECIAL, random_adapter, tokenizer_folder
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from hypotez.backend import Card, Source
from hypotez.engine.engine import EngineOptions
from hypotez.engine.local import LocalBackend, LocalOptions
from hypotez.export.gguf_tokens import CUTS
from hypotez.nn.adapters import save_adapter
from hypotez.nn.attention import Packed
from hypotez.nn.config import from_hf
from hypotez.nn.decoder import Decoder
from hypotez.nn.load import load, save

LONGEST = 24  # tokens of a reply


def family(case: str, base: Path, adapter: Path) -> tuple[Path, Path]:
    """A tiny model of the family, none of its vectors trivial, and an adapter that changes its answers."""
    import transformers

    name, changes = CASES[case]
    config = getattr(transformers, f"{name}Config")(**TINY | {"vocab_size": 384} | changes)
    decoder = Decoder(from_hf(config.to_dict()))
    decoder.reset(seed=1)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():  # norms of one and biases of zero would hide a mistake in them
        for parameter in decoder.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.3)
    save(decoder, tokenizer_folder(base))
    return base, _random_adapter(base, adapter)


def _random_adapter(base: Path, folder: Path) -> Path:
    decoder = load(base)
    random_adapter(decoder, 0.1, seed=3, drawn=4)
    save_adapter(decoder, 0, folder, str(base))
    return folder


@torch.no_grad()
def logits(decoder: Decoder, tokens: list[int], slot: int | None) -> torch.Tensor:
    """(T, V), by our decoder with the adapter in the slot."""
    attend = Packed([len(tokens)], decoder.config.windows, decoder.config.attention_softcap)
    return decoder.logits(decoder(torch.tensor(tokens), attend.positions(), attend, slot))


def answers(base: Path, adapter: Path | None, questions: list[str]) -> list[str]:
    """Our engine's greedy replies, in float32."""
    source = Source(str(base), adapter, Card("tuned"))
    options = LocalOptions(dtype="float32", device="cpu", engine=EngineOptions(cache_tokens=8192))

    async def ask() -> list[str]:
        backend = LocalBackend({"tuned": source}.get, lambda: [source.card], options)
        try:
            return [await _reply(backend, question) for question in questions]
        finally:
            await backend.aclose()

    return asyncio.run(ask())


async def _reply(backend: LocalBackend, question: str) -> str:
    asked = [{"role": "user", "content": question}]
    body = {"model": "tuned", "messages": asked, "max_tokens": LONGEST, "temperature": 0}
    said = [choice async for chunk in backend.chat(body) for choice in chunk["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in said)


def characters(style: str) -> tokenizers.Tokenizer:
    """SentencePiece's BPE as Hugging Face writes it down: of Llama 2's kind (a blank put first), or of Gemma's."""
    special = ["<unk>", "<s>", "</s>"]
    trainer = trainers.BpeTrainer(vocab_size=90, special_tokens=special, show_progress=False)
    small = tokenizers.Tokenizer(models.BPE())
    small.train_from_iterator((line.replace(" ", "▁") for line in CORPUS), trainer)
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    learned = sorted(small.get_vocab().items(), key=lambda item: item[1])
    words = [word for word, _ in learned if word not in special]
    vocabulary = {token: i for i, token in enumerate([*special, *bytes_, *words])}
    # every pair that makes a word, in the words' order, as transformers' converter writes SentencePiece's file
    merges = [(w[:i], w[i:]) for w in words for i in range(1, len(w)) if {w[:i], w[i:]} <= set(words)]
    tokenizer = tokenizers.Tokenizer(
        models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    )
    blanks = normalizers.Replace(" ", "▁")
    if style == "gemma":
        tokenizer.normalizer = blanks
    elif style == "llama":
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), blanks])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens(special)
    return tokenizer


def cutting(pre: str) -> tokenizers.Tokenizer:
    """Byte-level BPE that first cuts text by the rule of that name in llama.cpp; learnt on text that tempts it."""
    rule = next(rule for rule, name in CUTS.items() if name == pre)
    steps = [_step(cut) for cut in rule]
    if "words" not in rule:
        steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False))
    tokenizer = tokenizers.Tokenizer(models.BPE(ignore_merges=pre in ("llama-bpe", "tekken")))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=384, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(
        [*CORPUS * 2, "It's isn't 123 12 1234\n\n  ok\n\n  no", "camelCase HTTP гном/ы\n/"], trainer
    )
    return tokenizer


def _step(cut: str) -> pre_tokenizers.PreTokenizer:
    if cut == "digits":
        return pre_tokenizers.Digits(individual_digits=True)
    if cut == "words":
        return pre_tokenizers.ByteLevel(add_prefix_space=False)
    return pre_tokenizers.Split(tokenizers.Regex(cut), "isolated")
