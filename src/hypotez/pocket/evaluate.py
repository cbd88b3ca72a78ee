"""Held-out accuracy: questions in wordings, and sums of numbers, that were kept out of training.

A question counts as right when greedy decoding gives the expected reply to the last token. That is read off one forward
pass over the expected reply: every token must be the likeliest after those before it. Of a refusal only its opening is
asked for, for which of the topics a question belongs to is often a matter of taste.
"""

import random
from collections import defaultdict
from dataclasses import replace

import tokenizers
import torch

from hypotez.nn.decoder import Decoder
from hypotez.pocket.batches import Groups, batch, examples, grouped
from hypotez.pocket.conversation import Conversation, Pen
from hypotez.pocket.curriculum import LESSONS

REFUSALS = {"outside", "invented", "shop without facts"}
OPENING = 4  # words: "I do not know", "Этого я не знаю"
FREE = {"rephrase", "repeat"}  # many replies are right, or the question holds the answer


def questions(per_lesson: int, language: str, held_out: bool = True) -> list[Conversation]:
    """`per_lesson` conversations of every lesson, the same ones every time."""
    pen = Pen(random.Random(f"evaluation {language} {held_out}"), held_out)
    out = []
    for lesson in LESSONS:
        out += [lesson(pen, language) for _ in range(per_lesson)]
    return [c for c in out if c.cut is None]


@torch.no_grad()
def right(decoder: Decoder, tokenizer: tokenizers.Tokenizer, conversations: list[Conversation]) -> list[bool]:
    """For each conversation, whether its last reply is what greedy decoding gives."""
    found = list(examples(map(_judged, conversations), tokenizer, decoder.config.max_positions))
    order = sorted(range(len(found)), key=lambda i: len(found[i][0]))
    verdict = [False] * len(found)
    for begin in range(0, len(order), 64):
        some = order[begin : begin + 64]  # in order of length, as they come out of the groups again
        one = batch(grouped([found[i] for i in some]), 0)
        hidden = decoder(one.tokens, one.positions, Groups(one.groups, decoder.dtype))
        hit = (decoder.logits(hidden).argmax(-1) == one.targets) | ~one.learned
        at = 0
        for i in some:
            tokens, flags = found[i]
            verdict[i] = bool(hit[at + _last_reply(flags) - 1 : at + len(tokens) - 1].all())
            at += len(tokens)
    return verdict


def _judged(conversation: Conversation) -> Conversation:
    return replace(conversation, cut=OPENING) if conversation.kind in REFUSALS else conversation


def _last_reply(flags: list[bool]) -> int:
    last = len(flags) - 1
    while not flags[last]:
        last -= 1
    while last and flags[last - 1]:
        last -= 1
    return last


def accuracy(
    decoder: Decoder, tokenizer: tokenizers.Tokenizer, per_lesson: int, held_out: bool = True
) -> dict[str, dict[str, tuple[int, int]]]:
    """kind -> language -> (right, asked)."""
    table: dict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
    for language in ("en", "ru"):
        asked = [c for c in questions(per_lesson, language, held_out) if c.kind not in FREE]
        for conversation, ok in zip(asked, right(decoder, tokenizer, asked), strict=True):
            hits, count = table[conversation.kind].get(language, (0, 0))
            table[conversation.kind][language] = (hits + ok, count + 1)
    return dict(table)
