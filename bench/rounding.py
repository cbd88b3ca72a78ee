"""What rounding the weights costs: the built-in model in bf16, int8 and int4 on questions it was not trained on.

    python bench/rounding.py [--per-lesson 20]

Right answers (to the last token, as in the model's card), tokens of the expected replies where the likeliest one is
still the same, the loss of those tokens, and the divergence from the distribution in float32.
"""

import argparse

import tokenizers
import torch
import torch.nn.functional as F

from hypotez.nn.load import load
from hypotez.nn.packed import Weights, pack
from hypotez.pocket import evaluate
from hypotez.pocket.batches import Groups, batch, examples, grouped
from hypotez.pocket.conversation import Conversation

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


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--per-lesson", type=int, default=20)
    options = parser.parse_args()
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
        same = (found.argmax(-1) == exact.argmax(-1)).float().mean().item()
        loss, divergence = F.nll_loss(found, targets), F.kl_div(found, exact, log_target=True, reduction="batchmean")
        name = "bf16" if weights is Weights.FULL else weights.value
        print(f"| {name} | {right:.1%} | {same:.2%} | {loss:.4f} | {divergence:.5f} |", flush=True)


if __name__ == "__main__":
    main()
