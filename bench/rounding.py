"""What rounding costs: the built-in model in bf16, int8 and int4 on questions it was not trained on; or its adapter.

    python bench/rounding.py [--per-lesson 20]
    python bench/rounding.py --adapter FOLDER --questions examples/shop.csv

Right answers (to the last token, as in the model's card), tokens of the expected replies where the likeliest one is
still the same, the loss of those tokens, and the divergence from the distribution in float32. Of an adapter: the same
of the replies in a file of questions and answers, with its numbers as they are and in eight bits, and without it.
"""

import argparse
import csv
from pathlib import Path

import tokenizers
import torch
import torch.nn.functional as F

from hypotez.nn.adapters import load_adapter
from hypotez.nn.attention import Packed
from hypotez.nn.load import load
from hypotez.nn.lora import Lora
from hypotez.nn.lora_eight import EightBitLora
from hypotez.nn.packed import Weights, pack
from hypotez.pocket import evaluate
from hypotez.pocket.batches import Groups, batch, examples, grouped
from hypotez.pocket.conversation import Conversation
from hypotez.text import Chat

FOLDER = "src/hypotez/pocket/model"


@torch.no_grad()
def log_chances(decoder, tokenizer, asked: list[Conversation]) -> tuple[torch.Tensor, torch.Tensor]:
    """Of every learnt token: log-probabilities over the vocabulary (N, V), and which one was expected (N,)."""
    found = sorted(examples(asked, tokenizer, decoder.config.max_positions), key=lambda example: len(example[0]))
    chances, targets = [], []
    for begin in range(0, len(found), 32):
        one = batch(grouped(found[begin : begin + 32]), 0)
        hidden = decoder(one.tokens, one.positions, Groups(one.groups, decoder.dtype))[one.learned]
        chances.append(F.log_softmax(decoder.logits(hidden).float(), -1))
        targets.append(one.targets[one.learned])
    return torch.cat(chances), torch.cat(targets)


@torch.no_grad()
def replies(decoder, asked: list[tuple[list[int], list[bool]]], adapted: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """The same of conversations (ids, which are learnt), with the adapter in slot 0 or without one."""
    chances, targets = [], []
    for ids, learnt in asked:
        attend, tokens = Packed([len(ids)]), torch.tensor(ids)
        slots = torch.zeros(len(ids), dtype=torch.int64) if adapted else None
        hidden = decoder(tokens, attend.positions(), attend, slots)
        wanted = torch.tensor(learnt)[1:]
        chances.append(F.log_softmax(decoder.logits(hidden[:-1][wanted]).float(), -1))
        targets.append(tokens[1:][wanted])
    return torch.cat(chances), torch.cat(targets)


def adapter(folder: Path, questions: Path) -> None:
    chat, rows = Chat.open(FOLDER), list(csv.DictReader(questions.open(encoding="utf-8")))
    asked = []
    for row in rows:
        question, answer, *_ = row.values()
        messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        asked.append(chat.train_example(messages))

    def found(dtype: torch.dtype, kind: type[Lora] | None) -> tuple[torch.Tensor, torch.Tensor]:
        decoder = load(FOLDER, dtype)
        if kind is not None:
            load_adapter(decoder, 0, folder, kind=kind)
        if dtype is torch.bfloat16:
            pack(decoder)
        return replies(decoder, asked, kind is not None)

    exact, targets = found(torch.float32, Lora)
    print(f"| {len(rows)} replies, {len(targets)} tokens | same likeliest token | loss | divergence |")
    print("|---|---:|---:|---:|")
    kinds = {"without the adapter": None, "the adapter in bf16": Lora, "the adapter in eight bits": EightBitLora}
    for name, kind in kinds.items():
        print_row(name, found(torch.bfloat16, kind)[0], exact, targets)


def print_row(name: str, found: torch.Tensor, exact: torch.Tensor, targets: torch.Tensor) -> None:
    same = (found.argmax(-1) == exact.argmax(-1)).float().mean().item()
    loss, divergence = F.nll_loss(found, targets), F.kl_div(found, exact, log_target=True, reduction="batchmean")
    print(f"| {name} | {same:.2%} | {loss:.4f} | {divergence:.5f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--per-lesson", type=int, default=20)
    parser.add_argument("--adapter", type=Path, help="a folder in PEFT's format, made for the built-in model")
    parser.add_argument("--questions", type=Path, default=Path("examples/shop.csv"))
    options = parser.parse_args()
    if options.adapter:
        adapter(options.adapter, options.questions)
        return
    tokenizer = tokenizers.Tokenizer.from_file(f"{FOLDER}/tokenizer.json")
    asked = [c for lang in ("en", "ru") for c in evaluate.questions(options.per_lesson, lang)]
    asked = [c for c in asked if c.kind not in evaluate.FREE]
    exact, targets = log_chances(load(FOLDER, torch.float32), tokenizer, asked)
    print(
        f"| {len(asked)} questions, {len(targets)} tokens | right answers | same likeliest token | loss | divergence |"
    )
    print("|---|---:|---:|---:|---:|")
    for weights in Weights:
        decoder = load(FOLDER, torch.bfloat16)
        pack(decoder, weights)
        with torch.no_grad():
            right = sum(evaluate.right(decoder, tokenizer, asked)) / len(asked)
        found, _ = log_chances(decoder, tokenizer, asked)
        name = "bf16" if weights is Weights.FULL else weights.value
        print_row(f"{name} | {right:.1%}", found, exact, targets)


if __name__ == "__main__":
    main()
