"""The shipped network, in numpy: words to probabilities.

A convolution over three neighbouring words, the strongest and the summed response of each of its channels, and one
linear layer. Because a convolution is linear in each word, the products of one word with the three positions of the
window are computed once, the first time the word is seen, and kept; a message then costs a gather, two additions and
two small reductions. Words outside the vocabulary are the sum of their hashed character n-grams. Nothing here can
fail on any text: every string has tokens or has none.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Literal, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from hypotez.sentiment.features import BEFORE_TURN, DENSE, Reading, Word, read
from hypotez.sentiment.tokens import Role, normal, role, smile
from hypotez.sentiment.words import FLAGS, buckets, fingerprint, flags, pair, valence_of

Sentiment = Literal["positive", "negative", "neutral"]
LABELS: tuple[Sentiment, Sentiment, Sentiment] = ("negative", "neutral", "positive")
WEIGHTS = Path(__file__).with_name("weights.npz")

_CHUNK = 256  # messages worked on together

Floats = NDArray[np.float32]


class Scores(NamedTuple):
    """Probabilities of the three answers; they sum to 1."""

    negative: float
    neutral: float
    positive: float


class Classifier(dict[str, Word]):
    """The network and the words it has met: a mapping from raw token to ``Word``, filled on demand.

    Safe to share between threads: one reads at a time, since what one learns moves the rows the other would gather.
    """

    def __init__(self, weights: Path = WEIGHTS, *, kept: int = 20_000) -> None:
        """``kept`` distinct words are remembered at a time, about 1.6 kB each."""
        super().__init__()
        self._limit = 2 * kept
        with np.load(weights, allow_pickle=False) as arrays:
            self._vocabulary: NDArray[np.int8] = arrays["vocabulary"]  # (V, D)
            self._grams: NDArray[np.int8] = arrays["grams"]  # (B, D)
            self._scale: Floats = arrays["scale"]  # (2, D)
            self._pairs: Floats = arrays["pairs"] * arrays["pairs_scale"]  # (P, E)
            self._window: Floats = arrays["window"].astype(np.float32)  # (D + FLAGS, 3H)
            self._denied: Floats = arrays["denied"].astype(np.float32)  # (D, 3H), added under a negation
            self._bias: Floats = arrays["bias"].astype(np.float32)  # (H,)
            self._deep: Floats = arrays["deep"].astype(np.float32)  # (2H + E + DENSE, U)
            self._deep_bias: Floats = arrays["deep_bias"].astype(np.float32)  # (U,)
            out: Floats = arrays["out"].astype(np.float32)  # (2H + E + DENSE + U, 3)
            self._prior: Floats = arrays["prior"].astype(np.float32)  # (3,)
            self._known: NDArray[np.uint32] = arrays["known"]  # (V,), fingerprints in order
            self._valence: dict[int, int] = dict(
                zip(arrays["lexicon"].tolist(), arrays["valence"].tolist(), strict=True)
            )
            self.card: dict[str, object] = json.loads(arrays["card"].tobytes())
        self._width = len(self._bias)
        self._plain, self._inner = np.split(out, [len(self._deep)])
        self._lock = Lock()
        self._forget()

    def _forget(self) -> None:
        self.clear()
        self._rows: Floats = np.zeros((8192, 3 * self._width), np.float32)
        self._codes = np.zeros(8192, np.int64)  # of every row, the fingerprint of its word
        self._used = self._ready = 2  # row 0 is the empty place beside the first and the last word
        self._new: list[tuple[int, str, Role, float]] = []  # met since the rows were last filled in: see _learn

    def __missing__(self, token: str) -> Word:
        form = normal(token)
        kind, code = role(form), fingerprint(form)
        valence = valence_of(form, code, self._valence)
        place = self._used
        self._used = place + 2
        self._new.append((code, form, kind, valence))
        word = self[token] = describe(token, form, kind, valence, place, place + 1)
        return word

    def _learn(self) -> None:
        """Fill in the rows of the words met since the last time, all in one product."""
        codes, names, kinds, valences = zip(*self._new, strict=True)
        self._new = []
        wanted = np.array(codes, np.uint32)
        places = np.minimum(self._known.searchsorted(wanted), len(self._known) - 1)
        vectors = self._vocabulary[places] * self._scale[0]
        strange = np.flatnonzero(self._known[places] != wanted)
        if len(strange):
            columns: list[int] = []
            shares: list[float] = []
            starts = []
            for i in strange.tolist():
                starts.append(len(columns))
                where, share = buckets(names[i], len(self._grams))
                columns += where
                shares += share
            pieces = self._grams[columns] * np.array(shares, np.float32)[:, None]
            vectors[strange] = np.add.reduceat(pieces, starts, axis=0) * self._scale[1]
        if len(self._rows) < self._used:
            grown = np.empty((2 * self._used, 3 * self._width), np.float32)
            grown[: self._ready] = self._rows[: self._ready]
            self._rows = grown
            self._codes = np.concatenate([self._codes[: self._ready], np.zeros(len(grown) - self._ready, np.int64)])
        alone = vectors @ self._window[:-FLAGS]
        plain, denied = flags(np.array(kinds), np.array(valences, np.float32)) @ self._window[-FLAGS:]
        self._rows[self._ready : self._used : 2] = alone + plain
        alone += vectors @ self._denied
        self._rows[self._ready + 1 : self._used : 2] = alone + denied
        self._codes[self._ready : self._used] = np.repeat(wanted, 2)
        self._ready = self._used

    def _read(self, message: str) -> Reading:
        """Read one message, the rows of its words filled in."""
        if self._used > self._limit:
            self._forget()
        reading = read(message, self)
        if self._new:
            self._learn()
        return reading

    def logits(self, message: str) -> Floats:
        """Scores of one message before they become probabilities, (3,)."""
        with self._lock:
            rows, turn, dense = self._read(message)
            places = np.array([0, *rows, 0])
            near = self._rows[places]  # (L + 2, 3H)
            codes = self._codes[places]
        width = self._width
        response = near[:-2, :width] + near[1:-1, width : 2 * width]
        response += near[2:, 2 * width :]
        response += self._bias
        np.maximum(response, 0.0, out=response)
        if turn:
            response[:turn] *= BEFORE_TURN
        pooled = np.zeros(len(self._deep), np.float32)
        if rows:
            response.max(axis=0, out=pooled[:width])
            np.add.reduce(response, axis=0, out=pooled[width : 2 * width])
            beside = self._pairs[pair(codes[1:-2], codes[2:-1], len(self._pairs))]
            np.add.reduce(beside, axis=0, out=pooled[2 * width : -DENSE])
            pooled[width:-DENSE] /= (len(rows) + 2) ** 0.5
        pooled[-DENSE:] = dense
        return self._weigh(pooled)

    def logits_of(self, messages: Sequence[str]) -> Floats:
        """The same for many messages, worked on together, (N, 3)."""
        parts = [self._chunk(messages[at : at + _CHUNK]) for at in range(0, len(messages), _CHUNK)]
        return np.concatenate(parts) if parts else np.zeros((0, 3), np.float32)

    def _chunk(self, messages: Sequence[str]) -> Floats:
        width, gathered, starts = self._width, [0], []
        gain: list[tuple[int, int]] = []
        with self._lock:
            if self._used > self._limit:
                self._forget()
            readings = [read(message, self) for message in messages]
            for reading in readings:
                starts.append(len(gathered) - 1)
                gathered += reading.rows or [0]
                gathered.append(0)
                if reading.turn:
                    gain.append((starts[-1], starts[-1] + reading.turn))
            if self._new:
                self._learn()
            places = np.array(gathered)
            near = self._rows[places]
            codes = self._codes[places]
        response = near[:-2, :width] + near[1:-1, width : 2 * width]
        response += near[2:, 2 * width :]
        response += self._bias
        np.maximum(response, 0.0, out=response)
        for start, end in gain:
            response[start:end] *= BEFORE_TURN
        lengths = np.array([len(reading.rows) for reading in readings])
        ends = np.array(starts) + np.maximum(lengths, 1)
        response = np.concatenate([response, np.zeros((1, width), np.float32)])
        response[ends[:-1]] = 0.0  # the gaps between messages
        empty = lengths == 0
        beside = self._pairs[pair(codes[:-1], codes[1:], len(self._pairs))]
        beside[(places[:-1] == 0) | (places[1:] == 0)] = 0.0
        pooled = np.empty((len(messages), len(self._deep)), np.float32)
        pooled[:, :width] = np.maximum.reduceat(response, starts)
        pooled[:, width : 2 * width] = np.add.reduceat(response, starts)
        pooled[:, 2 * width : -DENSE] = np.add.reduceat(beside, starts)
        pooled[:, width:-DENSE] /= np.sqrt(lengths + 2)[:, None]
        pooled[empty, :-DENSE] = 0.0
        pooled[:, -DENSE:] = [reading.dense for reading in readings]
        return self._weigh(pooled)

    def _weigh(self, pooled: Floats) -> Floats:
        """From the numbers about a message, or several, to its scores."""
        inner = pooled @ self._deep
        inner += self._deep_bias
        np.maximum(inner, 0.0, out=inner)
        return cast(Floats, pooled @ self._plain + inner @ self._inner + self._prior)


def describe(token: str, form: str, kind: Role, valence: float, plain: int, denied: int) -> Word:
    """All that is known of one token by itself."""
    wordlike = kind <= Role.TURN
    return Word(
        int(kind),
        plain,
        denied,
        valence,
        int(wordlike and len(token) > 1 and token.isupper()),
        int("а" <= form[0] <= "я"),
        int(not wordlike and form[0] in "{}[]=<>|\\/*#$_&~^+" and not smile(form)),
        int(form == "0"),
    )


def probabilities(logits: Floats) -> Floats:
    """Softmax over the last axis."""
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return cast(Floats, raised / raised.sum(axis=-1, keepdims=True))
