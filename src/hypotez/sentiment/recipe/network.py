"""The network of ``classifier.py`` being trained: forward, backward and Adam, written out in numpy.

    word      e = sum of its hashed parts + g P               (B buckets, D); g known beforehand
    window    h_t = relu(x_{t-1} A + x_t B + x_{t+1} C + b)   x = [e, flags, and e again under a negation, else 0]
    message   p = [max_t h_t, (sum_t h_t, sum_t q_t) / sqrt(L + 2), dense]   q_t of words t, t + 1, hashed
              z = [p, relu(p U + c)] W + prior

Only the buckets a batch touches are updated, so a step costs the same whatever the size of the tables.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray

from hypotez.sentiment.features import DENSE
from hypotez.sentiment.recipe.messages import Batch, Floats, Messages, Words
from hypotez.sentiment.words import DENIED, FLAGS


@dataclass
class Network:
    """The weights, their gradients' moments, and how to move them."""

    size: int = 1 << 16
    dim: int = 32
    width: int = 96
    pairs: int = 1 << 17
    pair_dim: int = 8
    deep: int = 128
    known: int = 0  # numbers known of a word beforehand
    seed: int = 0
    weights: dict[str, Floats] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)
        wide, pooled = self.dim + FLAGS, 2 * self.width + self.pair_dim + DENSE

        def start(*shape: int, spread: float) -> Floats:
            return self.random.normal(0, spread, shape).astype(np.float32)

        self.weights = {
            "grams": start(self.size, self.dim, spread=0.05),
            "window": start(wide, 3 * self.width, spread=(1 / (3 * wide)) ** 0.5),
            "denied": np.zeros((self.dim, 3 * self.width), np.float32),
            "bias": np.zeros(self.width, np.float32),
            "pairs": start(self.pairs, self.pair_dim, spread=0.02),
            "known": start(self.known, self.dim, spread=0.3 / max(self.known, 1) ** 0.5),
            "deep": start(pooled, self.deep, spread=pooled**-0.5),
            "deep_bias": np.zeros(self.deep, np.float32),
            "out": start(pooled + self.deep, 3, spread=0.05),
            "prior": np.zeros(3, np.float32),
        }
        self.first = {name: np.zeros_like(w) for name, w in self.weights.items()}
        self.second = {name: np.zeros_like(w) for name, w in self.weights.items()}
        self.steps = 0

    def forward(
        self, batch: Batch, drop_words: float = 0.0, drop: float = 0.0, drop_known: float = 0.0, drop_pairs: float = 0.0
    ) -> tuple[Floats, "Trace"]:
        w, width = self.weights, self.width
        known = batch.known
        if drop_known:  # so that a word is understood without being known, too
            known = known * (self.random.random((len(known), 1)) > drop_known).astype(np.float32)
        embedded = batch.parts @ w["grams"][batch.touched] + known @ w["known"]  # (U, D)
        x = np.concatenate([embedded[batch.forms], batch.flags], axis=2)  # (N, L, D + FLAGS)
        denied, keep = np.nonzero(batch.flags[:, :, DENIED]), batch.mask
        if drop_words:
            keep = keep * (self.random.random(keep.shape) > drop_words)
        x = x * keep[:, :, None]
        product = x @ w["window"]
        product[denied] += x[denied][:, : self.dim] @ w["denied"]
        h = product[:, :, width : 2 * width] + w["bias"]
        h[:, 1:] += product[:, :-1, :width]
        h[:, :-1] += product[:, 1:, 2 * width :]
        np.maximum(h, 0, out=h)
        h *= batch.gain[:, :, None]
        at = h.argmax(axis=1)  # (N, H)
        top = np.take_along_axis(h, at[:, None], 1)[:, 0]
        pairs = batch.pairs
        if drop_pairs:
            pairs = pairs.copy()
            pairs.data *= self.random.random(len(pairs.data)) > drop_pairs
        beside = pairs @ w["pairs"][batch.paired]
        pooled = np.concatenate([top, h.sum(axis=1) * batch.shrink[:, None], beside, batch.dense], axis=1)
        mask = np.ones_like(pooled)
        if drop:
            mask[:, :-DENSE] = (self.random.random(mask[:, :-DENSE].shape) > drop) / (1 - drop)
        pooled = pooled * mask
        both = np.concatenate([pooled, np.maximum(pooled @ w["deep"] + w["deep_bias"], 0)], axis=1)
        return both @ w["out"] + w["prior"], Trace(known, pairs, x, denied, keep, h, at, both, mask)

    def step(self, batch: Batch, target: Floats, weight: Floats, rate: float, **drops: float) -> float:
        """One step of Adam on the cross-entropy to ``target`` (N, 3); returns the loss."""
        w, width = self.weights, self.width
        logits, (known, pairs, x, denied, keep, h, at, both, mask) = self.forward(batch, **drops)
        logits -= logits.max(axis=1, keepdims=True)
        p = np.exp(logits)
        p /= p.sum(axis=1, keepdims=True)
        share = (weight / weight.sum())[:, None]
        loss = -float((share * target * np.log(p + 1e-9)).sum())
        dz = (p - target) * share
        gradient = {"out": both.T @ dz, "prior": dz.sum(axis=0)}
        dboth = dz @ w["out"].T
        pooled, ddeep = both[:, : -self.deep], dboth[:, -self.deep :] * (both[:, -self.deep :] > 0)
        gradient |= {"deep": pooled.T @ ddeep, "deep_bias": ddeep.sum(axis=0)}
        dpooled = (dboth[:, : -self.deep] + ddeep @ w["deep"].T) * mask
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
        gradient["denied"] = x[denied][:, : self.dim].T @ dproduct[denied]
        dx = (flat @ w["window"][: self.dim].T).reshape(*h.shape[:2], self.dim)
        dx[denied] += dproduct[denied] @ w["denied"].T
        dx *= keep[:, :, None]
        back = sparse.csr_matrix(
            (np.ones(batch.forms.size, np.float32), batch.forms.ravel(), np.arange(batch.forms.size + 1)),
            (batch.forms.size, batch.parts.shape[0]),
        )
        dwords = back.T @ dx.reshape(-1, self.dim)
        gradient["known"] = known.T @ dwords
        self.steps += 1
        for name, g in gradient.items():
            self._adam(name, slice(None), g, rate)
        self._adam("grams", batch.touched, batch.parts.T @ dwords, rate)
        self._adam("pairs", batch.paired, pairs.T @ dpooled[:, 2 * width : -DENSE], rate)
        return loss

    def _adam(self, name: str, where: slice | NDArray[np.int64], g: Floats, rate: float) -> None:
        first, second = self.first[name], self.second[name]
        m = first[where] = 0.9 * first[where] + 0.1 * g
        v = second[where] = 0.999 * second[where] + 0.001 * g * g
        correction = (1 - 0.999**self.steps) ** 0.5 / (1 - 0.9**self.steps)
        self.weights[name][where] -= rate * correction * m / (np.sqrt(v) + 1e-8)


class Trace(NamedTuple):
    """What ``forward`` leaves behind for ``step``."""

    known: Floats
    pairs: sparse.csr_matrix
    x: Floats
    denied: tuple[NDArray[np.int64], ...]
    keep: Floats
    h: Floats
    at: NDArray[np.int64]
    both: Floats
    mask: Floats


def train(
    network: Network,
    messages: Messages,
    words: Words,
    target: Floats,
    weight: Floats,
    *,
    epochs: float = 2,
    rate: float = 2.5e-3,
    batch: int = 128,
    drop_words: float = 0.05,
    drop: float = 0.1,
    drop_known: float = 0.05,
    drop_pairs: float = 0.05,
) -> Network:
    """Train on every message of non-zero weight. ``target`` (N, 3) may be soft."""
    chosen = np.flatnonzero(weight > 0)
    lengths = np.array([len(rows) for rows in messages.rows])
    total, done = int(epochs * -(-len(chosen) // batch)), 0
    while done < total:
        order = network.random.permutation(chosen)
        batches: list[NDArray[np.int64]] = []
        for at in range(0, len(order), 50 * batch):  # messages of like length together, to pad little
            near = order[at : at + 50 * batch]
            near = near[np.argsort(lengths[near], kind="stable")]
            batches += [near[i : i + batch] for i in range(0, len(near), batch)]
        for i in network.random.permutation(len(batches))[: total - done]:
            which = batches[i]
            falling = rate * max(0.02, 1 - done / total)
            done += 1
            made = Batch.of(messages, words, which)
            drops = {"drop_words": drop_words, "drop": drop, "drop_known": drop_known, "drop_pairs": drop_pairs}
            network.step(made, target[which], weight[which], falling, **drops)
    return network


def logits(network: Network, messages: Messages, words: Words, which: NDArray[np.int64]) -> Floats:
    """Scores of the messages numbered in ``which``, (N, 3)."""
    made = [network.forward(Batch.of(messages, words, which[at : at + 256]))[0] for at in range(0, len(which), 256)]
    return np.concatenate(made)
