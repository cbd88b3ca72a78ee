"""Training messages as numbers: what each form is, which forms a message has, and some messages side by side.

Everything here is fixed before training; the weights are in ``network.py``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray

from hypotez.sentiment.classifier import describe
from hypotez.sentiment.features import BEFORE_TURN, Word, read
from hypotez.sentiment.tokens import Role, normal, role
from hypotez.sentiment.words import FLAGS, buckets, fingerprint, flags, pair, valence_of

Floats = NDArray[np.float32]
LONGEST = 80  # tokens of a training message that are looked at


class Forms(dict[str, Word]):
    """Every raw token of the training messages, numbered by its normal form; two rows a form, plain and denied."""

    def __init__(self, lexicon: dict[int, int]) -> None:
        super().__init__()
        self.lexicon = lexicon
        self.numbers: dict[str, int] = {}
        self.kinds: list[Role] = []
        self.valences: list[float] = []

    def __missing__(self, token: str) -> Word:
        form = normal(token)
        kind, valence = role(form), valence_of(form, fingerprint(form), self.lexicon)
        number = self.numbers.setdefault(form, len(self.numbers))
        if number == len(self.kinds):
            self.kinds.append(kind)
            self.valences.append(valence)
        word = self[token] = describe(token, form, kind, valence, 2 * number, 2 * number + 1)
        return word

    def flags(self) -> Floats:
        """Row numbers to the numbers beside a word's vector, (2F, FLAGS)."""
        both = flags(np.array(self.kinds), np.array(self.valences, np.float32))
        return both.swapaxes(0, 1).reshape(-1, FLAGS)

    def parts(self, size: int) -> sparse.csr_matrix:
        """Forms by buckets, (F, size)."""
        columns, shares, ends = [], [], [0]
        for form in self.numbers:
            where, share = buckets(form, size)
            columns += where
            shares += share
            ends.append(len(columns))
        return sparse.csr_matrix((np.array(shares, np.float32), columns, ends), (len(self.numbers), size))


class Words(NamedTuple):
    """What is fixed about every form, and the number of buckets for pairs of words."""

    parts: sparse.csr_matrix  # (F, B), its hashed parts
    flags: Floats  # (2F, FLAGS), plain and denied
    codes: NDArray[np.int64]  # (F,), its fingerprint
    known: Floats  # (F, K), what is known of it beforehand
    pairs: int

    @classmethod
    def of(cls, forms: Forms, size: int, pairs: int, known: Floats | None = None) -> "Words":
        count = len(forms.numbers)
        codes = np.array([fingerprint(form) for form in forms.numbers], np.int64)
        beforehand = np.zeros((count, 0), np.float32) if known is None else known
        return cls(forms.parts(size), forms.flags(), codes, beforehand, pairs)


@dataclass
class Messages:
    """Messages as numbers: rows per token, tokens before the last "but", numbers about the whole."""

    rows: list[NDArray[np.int32]]
    turns: NDArray[np.int32]
    dense: Floats  # (N, DENSE)

    @classmethod
    def of(cls, texts: Sequence[str], forms: Forms) -> "Messages":
        readings = [read(text, forms) for text in texts]
        return cls(
            [np.array(reading.rows[:LONGEST], np.int32) for reading in readings],
            np.array([min(reading.turn, LONGEST) for reading in readings], np.int32),
            np.array([reading.dense for reading in readings], np.float32),
        )


@dataclass
class Batch:
    """Some messages side by side, padded to the longest; ``forms`` counts within the batch."""

    parts: sparse.csr_matrix  # (U, touched)
    known: Floats  # (U, K)
    touched: NDArray[np.int64]
    pairs: sparse.csr_matrix  # (N, paired), 1 / sqrt(L + 2) for every pair of neighbours
    paired: NDArray[np.int64]
    forms: NDArray[np.int64]  # (N, L)
    flags: Floats  # (N, L, FLAGS)
    mask: Floats  # (N, L)
    gain: Floats  # (N, L)
    shrink: Floats  # (N,)
    dense: Floats

    @classmethod
    def of(cls, messages: Messages, words: Words, which: NDArray[np.int64]) -> "Batch":
        rows = [messages.rows[i] for i in which]
        lengths = np.array([len(r) for r in rows])
        longest = max(int(lengths.max()), 1)
        mask = (np.arange(longest) < lengths[:, None]).astype(np.float32)
        padded = np.zeros((len(rows), longest), np.int64)
        padded[mask > 0] = np.concatenate(rows)
        used, forms = np.unique(padded // 2, return_inverse=True)
        own = words.parts[used]
        touched, columns = np.unique(own.indices, return_inverse=True)
        shrink = ((lengths + 2) ** -0.5).astype(np.float32)
        beside = mask[:, 1:] > 0
        codes = words.codes[padded // 2]
        paired, places = np.unique(pair(codes[:, :-1], codes[:, 1:], words.pairs)[beside], return_inverse=True)
        first = np.nonzero(beside)[0]
        pairs = sparse.csr_matrix((shrink[first], (first, places)), (len(rows), len(paired)))
        gain = np.where(np.arange(longest) < messages.turns[which][:, None], BEFORE_TURN, 1.0).astype(np.float32) * mask
        return cls(
            sparse.csr_matrix((own.data, columns, own.indptr), (len(used), len(touched))),
            words.known[used],
            touched.astype(np.int64),
            pairs,
            paired,
            forms.reshape(padded.shape),
            words.flags[padded],
            mask,
            gain,
            shrink,
            messages.dense[which],
        )
