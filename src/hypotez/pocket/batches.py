"""From conversations to batches: ids grouped by length, so that attention is one plain matrix product per group."""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import tokenizers
import torch
from torch import Tensor

from hypotez.pocket.conversation import Conversation, segments
from hypotez.pocket.tokenizer import ids

Example = tuple[list[int], list[bool]]

GROUP = 960  # tokens in a group
GROUPS = 2  # groups in a batch
LENGTHS = (20, 24, 30, 32, 40, 48, 60, 64, 80, 96, 120, 160, 192, 240, 320, 480)  # of rows: divisors of GROUP


@dataclass(frozen=True)
class Batch:
    """Rows of the groups end to end: `groups` are (rows, length), padding at a row's end included."""

    tokens: Tensor  # (T,)
    positions: Tensor  # (T,)
    targets: Tensor  # (T,), the next token; -1 where there is none
    learned: Tensor  # (T,), whether the next token belongs to a reply
    groups: tuple[tuple[int, int], ...]
    real: int  # tokens that are not padding


class Groups:
    """An `Attend` for a batch, written out: on short rows two matmuls beat the fused kernel's way back fourfold."""

    kept = None

    def __init__(self, groups: Sequence[tuple[int, int]], dtype: torch.dtype) -> None:
        self.groups = groups
        self.masks = {n: torch.full((n, n), float("-inf"), dtype=dtype).triu(1) for _, n in groups}

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """q (T, H, Dh), k and v (T, H, Dh) -> (T, H, Dh)."""
        sizes = [rows * length for rows, length in self.groups]
        out = []
        for (rows, length), *parts in zip(self.groups, *(torch.split(t, sizes) for t in (q, k, v)), strict=True):
            q1, k1, v1 = (t.view(rows, length, *t.shape[1:]).transpose(1, 2) for t in parts)  # (B, H, L, Dh)
            scores = torch.matmul(q1 * q.shape[-1] ** -0.5, k1.transpose(-1, -2)) + self.masks[length]
            out.append(torch.matmul(scores.softmax(-1), v1).transpose(1, 2).flatten(0, 1))
        return torch.cat(out)


def examples(conversations: Iterable[Conversation], tokenizer: tokenizers.Tokenizer, longest: int) -> Iterator[Example]:
    """Token ids and what is learned of them; conversations longer than the context are left out."""
    for conversation in conversations:
        example = ids(tokenizer, segments(conversation))
        if len(example[0]) <= longest:
            yield example


def batches(source: Iterator[Example], pad: int, seed: int) -> Iterator[Batch]:
    """Batches of GROUPS groups without end. Groups have few shapes: a new one costs the bf16 kernels a compilation."""
    rng = random.Random(seed)
    waiting: dict[int, list[Example]] = {length: [] for length in LENGTHS}
    full: list[list[Example]] = []
    while True:
        while len(full) < 24 * GROUPS:  # more than one batch needs, so that lengths mix
            example = next(source)
            length = next(n for n in LENGTHS if n >= len(example[0]))
            waiting[length].append(example)
            if len(waiting[length]) * length == GROUP:
                full.append(waiting.pop(length))
                waiting[length] = []
        rng.shuffle(full)
        share, full = full[:GROUPS], full[GROUPS:]
        yield batch([(next(n for n in LENGTHS if n * len(g) == GROUP), g) for g in share], pad)


def grouped(rows: list[Example]) -> list[tuple[int, list[Example]]]:
    """Rows of exactly one length together, for evaluation: (length, rows)."""
    out: dict[int, list[Example]] = {}
    for example in rows:
        out.setdefault(len(example[0]), []).append(example)
    return list(out.items())


def batch(groups: list[tuple[int, list[Example]]], pad: int) -> Batch:
    """Groups of rows, each row filled up to its group's length, as one batch."""
    tokens: list[int] = []
    positions: list[int] = []
    targets: list[int] = []
    learned: list[bool] = []
    for length, rows in groups:
        for row, flags in rows:
            spare = length - len(row)
            tokens += row + [pad] * spare
            positions += range(length)
            targets += [*row[1:], -1] + [-1] * spare
            learned += [*flags[1:], False] + [False] * spare
    real = sum(len(row) for _, rows in groups for row, _ in rows)
    shapes = tuple((len(rows), length) for length, rows in groups)
    return Batch(
        torch.tensor(tokens), torch.tensor(positions), torch.tensor(targets), torch.tensor(learned), shapes, real
    )
