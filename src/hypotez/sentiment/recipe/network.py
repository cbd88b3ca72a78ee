"""The network of ``classifier.py`` being trained: forward, backward and Adam, written out in numpy.

    word      e = sum of its hashed parts                     (B buckets, D)
    window    h_t = relu(x_{t-1} A + x_t B + x_{t+1} C + b)   x = [e, flags]
    message   z = [max_t h_t, sum_t h_t / sqrt(L + 2), dense] W + prior

Only the buckets a batch touches are updated, so a step costs the same whatever the size of the table.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray

from hypotez.sentiment.classifier import describe
from hypotez.sentiment.features import BEFORE_TURN, DENSE, Word, read
from hypotez.sentiment.tokens import Role, normal, role
from hypotez.sentiment.words import FLAGS, buckets, fingerprint, flags, valence_of

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
class Network:
    """The weights, their gradients' moments, and how to move them."""

    size: int = 1 << 17
    dim: int = 32
    width: int = 64
    seed: int = 0
    weights: dict[str, Floats] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)
        wide = self.dim + FLAGS

        def start(*shape: int, spread: float) -> Floats:
            return self.random.normal(0, spread, shape).astype(np.float32)

        self.weights = {
            "grams": start(self.size, self.dim, spread=0.05),
            "window": start(wide, 3 * self.width, spread=(1 / (3 * wide)) ** 0.5),
            "bias": np.zeros(self.width, np.float32),
            "out": start(2 * self.width + DENSE, 3, spread=0.05),
            "prior": np.zeros(3, np.float32),
        }
        self.first = {name: np.zeros_like(w) for name, w in self.weights.items()}
        self.second = {name: np.zeros_like(w) for name, w in self.weights.items()}
        self.steps = 0

    def forward(self, batch: "Batch", drop_words: float = 0.0, drop: float = 0.0) -> tuple[Floats, tuple[Floats, ...]]:
        w, width = self.weights, self.width
        embedded = batch.parts @ w["grams"][batch.touched]  # (U, D)
        x = np.concatenate([embedded[batch.forms], batch.flags], axis=2)  # (N, L, D + FLAGS)
        keep = batch.mask
        if drop_words:
            keep = keep * (self.random.random(keep.shape) > drop_words)
        x = x * keep[:, :, None]
        product = x @ w["window"]
        h = product[:, :, width : 2 * width] + w["bias"]
        h[:, 1:] += product[:, :-1, :width]
        h[:, :-1] += product[:, 1:, 2 * width :]
        np.maximum(h, 0, out=h)
        h *= batch.gain[:, :, None]
        at = h.argmax(axis=1)  # (N, H)
        top = np.take_along_axis(h, at[:, None], 1)[:, 0]
        pooled = np.concatenate([top, h.sum(axis=1) * batch.shrink[:, None], batch.dense], axis=1)
        mask = np.ones_like(pooled)
        if drop:
            mask[:, : 2 * width] = (self.random.random((len(pooled), 2 * width)) > drop) / (1 - drop)
        pooled = pooled * mask
        return pooled @ w["out"] + w["prior"], (x, keep, h, at, pooled, mask)

    def step(
        self, batch: "Batch", target: Floats, weight: Floats, rate: float, drop_words: float, drop: float
    ) -> float:
        """One step of Adam on the cross-entropy to ``target`` (N, 3); returns the loss."""
        w, width = self.weights, self.width
        logits, (x, keep, h, at, pooled, mask) = self.forward(batch, drop_words, drop)
        logits -= logits.max(axis=1, keepdims=True)
        p = np.exp(logits)
        p /= p.sum(axis=1, keepdims=True)
        share = (weight / weight.sum())[:, None]
        loss = -float((share * target * np.log(p + 1e-9)).sum())
        dz = (p - target) * share
        gradient = {"out": pooled.T @ dz, "prior": dz.sum(axis=0)}
        dpooled = (dz @ w["out"].T) * mask
        dh = np.broadcast_to((dpooled[:, width : 2 * width] * batch.shrink[:, None])[:, None], h.shape).copy()
        n, c = np.indices(at.shape)
        dh[n, at, c] += dpooled[:, :width]
        dh *= (h > 0) * batch.gain[:, :, None]
        gradient["bias"] = dh.sum(axis=(0, 1))
        dproduct = np.zeros((*h.shape[:2], 3 * width), np.float32)
        dproduct[:, :, width : 2 * width] = dh
        dproduct[:, :-1, :width] = dh[:, 1:]
        dproduct[:, 1:, 2 * width :] = dh[:, :-1]
        flat = dproduct.reshape(-1, 3 * width)
        gradient["window"] = x.reshape(len(flat), -1).T @ flat
        dx = (flat @ w["window"].T).reshape(x.shape)[:, :, : self.dim] * keep[:, :, None]
        back = sparse.csr_matrix(
            (np.ones(batch.forms.size, np.float32), batch.forms.ravel(), np.arange(batch.forms.size + 1)),
            (batch.forms.size, batch.parts.shape[0]),
        )
        dgrams = batch.parts.T @ (back.T @ dx.reshape(-1, self.dim))
        self.steps += 1
        for name, g in gradient.items():
            self._adam(name, slice(None), g, rate)
        self._adam("grams", batch.touched, dgrams, rate)
        return loss

    def _adam(self, name: str, where: slice | NDArray[np.int64], g: Floats, rate: float) -> None:
        first, second = self.first[name], self.second[name]
        m = first[where] = 0.9 * first[where] + 0.1 * g
        v = second[where] = 0.999 * second[where] + 0.001 * g * g
        correction = (1 - 0.999**self.steps) ** 0.5 / (1 - 0.9**self.steps)
        self.weights[name][where] -= rate * correction * m / (np.sqrt(v) + 1e-8)


@dataclass
class Batch:
    """Some messages side by side, padded to the longest; ``forms`` counts within the batch."""

    parts: sparse.csr_matrix  # (U, touched)
    touched: NDArray[np.int64]
    forms: NDArray[np.int64]  # (N, L)
    flags: Floats  # (N, L, FLAGS)
    mask: Floats  # (N, L)
    gain: Floats  # (N, L)
    shrink: Floats  # (N,)
    dense: Floats

    @classmethod
    def of(cls, messages: Messages, parts: sparse.csr_matrix, table: Floats, which: NDArray[np.int64]) -> "Batch":
        rows = [messages.rows[i] for i in which]
        lengths = np.array([len(r) for r in rows])
        longest = max(int(lengths.max()), 1)
        mask = (np.arange(longest) < lengths[:, None]).astype(np.float32)
        padded = np.zeros((len(rows), longest), np.int64)
        padded[mask > 0] = np.concatenate(rows)
        used, forms = np.unique(padded // 2, return_inverse=True)
        own = parts[used]
        touched, columns = np.unique(own.indices, return_inverse=True)
        gain = np.where(np.arange(longest) < messages.turns[which][:, None], BEFORE_TURN, 1.0).astype(np.float32) * mask
        return cls(
            sparse.csr_matrix((own.data, columns, own.indptr), (len(used), len(touched))),
            touched.astype(np.int64),
            forms.reshape(padded.shape),
            table[padded],
            mask,
            gain,
            ((lengths + 2) ** -0.5).astype(np.float32),
            messages.dense[which],
        )


def train(
    network: Network,
    messages: Messages,
    forms: Forms,
    target: Floats,
    weight: Floats,
    *,
    epochs: int = 2,
    rate: float = 3e-3,
    batch: int = 128,
    drop_words: float = 0.1,
    drop: float = 0.3,
) -> Network:
    """Train on every message of non-zero weight. ``target`` (N, 3) may be soft."""
    parts, table = forms.parts(network.size), forms.flags()
    chosen = np.flatnonzero(weight > 0)
    lengths = np.array([len(rows) for rows in messages.rows])
    total, done = epochs * -(-len(chosen) // batch), 0
    for _ in range(epochs):
        order = network.random.permutation(chosen)
        batches: list[NDArray[np.int64]] = []
        for at in range(0, len(order), 50 * batch):  # messages of like length together, to pad little
            near = order[at : at + 50 * batch]
            near = near[np.argsort(lengths[near], kind="stable")]
            batches += [near[i : i + batch] for i in range(0, len(near), batch)]
        for i in network.random.permutation(len(batches)):
            which = batches[i]
            falling = rate * max(0.02, 1 - done / total)
            done += 1
            made = Batch.of(messages, parts, table, which)
            network.step(made, target[which], weight[which], falling, drop_words, drop)
    return network


def logits(network: Network, messages: Messages, forms: Forms, which: NDArray[np.int64]) -> Floats:
    """Scores of the messages numbered in ``which``, (N, 3)."""
    parts, table = forms.parts(network.size), forms.flags()
    made = [
        network.forward(Batch.of(messages, parts, table, which[at : at + 256]))[0] for at in range(0, len(which), 256)
    ]
    return np.concatenate(made)
