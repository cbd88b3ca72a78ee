"""``python -m hypotez.sentiment.train --data DIR``: make ``weights.npz`` anew.

Reads the labelled rows, adds the written and generated examples, trains the network on them and writes its weights as
plain arrays. Needs ``pip install 'hypotez[sentiment]'``; a few minutes on one core. The same data and the same seed
give the same weights on the same machine.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hypotez.sentiment.classifier import WEIGHTS, Classifier, probabilities
from hypotez.sentiment.recipe import generate, network
from hypotez.sentiment.recipe.lexicon import lexicon
from hypotez.sentiment.recipe.network import Floats, Forms, Messages, Network
from hypotez.sentiment.recipe.rows import WEIGHT, Row, bare, labelled
from hypotez.sentiment.words import fingerprint

VOCABULARY = 20_000  # words whose vectors are stored whole
CERTAIN = 0.9  # the share of a target that goes to the label; the rest is spread, for the labels are noisy
SPARE = 0.005  # of macro-F1, given for fewer wrong words


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m hypotez.sentiment.train", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with labelled.jsonl.gz and the word lists")
    parser.add_argument("--apart", type=Path, nargs="*", default=[], help="JSONL files of messages never to learn from")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="where the weights go")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    rows, weight = examples(chosen.data, chosen.apart)
    words = lexicon(chosen.data)
    forms = Forms(words)
    messages = Messages.of([row.text for row in rows], forms)
    target = np.eye(3, dtype=np.float32)[[row.label for row in rows]] * CERTAIN + (1 - CERTAIN) / 3
    trained = network.train(Network(seed=chosen.seed), messages, forms, target, weight, epochs=chosen.epochs)
    export(trained, messages, forms, chosen.out, {"rows": len(rows), "epochs": chosen.epochs, "seed": chosen.seed})
    shift, heat = calibrate(chosen.out, [row for row in labelled(chosen.data) if row.part == "settings"])
    print(f"neutral shifted by {shift:.2f}, temperature {heat:.2f}")
    print(f"{chosen.out}: {chosen.out.stat().st_size / 1e6:.2f} MB from {len(rows)} rows")


def examples(folder: Path, apart: Sequence[Path] = ()) -> tuple[list[Row], Floats]:
    """What the network learns from, and how much each row weighs: labelled rows for training, written, generated.

    Left out is every row that says the same as a message of the files ``apart``.
    """
    lines = [line for path in apart for line in path.read_text(encoding="utf-8").splitlines()]
    tested = {bare(json.loads(line)["text"]) for line in lines}
    known = [row for row in labelled(folder) if row.part == "training"]
    rows = [row for row in known + generate.written() + generate.made() if bare(row.text) not in tested]
    return rows, np.array([WEIGHT[row.source] for row in rows], np.float32)


def export(trained: Network, messages: Messages, forms: Forms, path: Path, card: dict[str, object]) -> None:
    """Write the weights: vectors in 8 bits with a scale per dimension, the rest in 16."""
    counts = np.bincount(np.concatenate(messages.rows) // 2, minlength=len(forms.numbers))
    common = np.argsort(-counts, kind="stable")[:VOCABULARY]
    vectors = (forms.parts(trained.size) @ trained.weights["grams"])[common]
    names = list(forms.numbers)
    scales, whole = [], []
    for table in (vectors, trained.weights["grams"]):
        scale = np.maximum(np.quantile(np.abs(table), 0.9995, axis=0), 1e-6) / 127
        scales.append(scale)
        whole.append(np.clip(np.round(table / scale), -127, 127).astype(np.int8))
    keys = np.array(sorted(forms.lexicon), np.uint32)
    np.savez(
        path,
        vocabulary=whole[0],
        grams=whole[1],
        scale=np.array(scales, np.float32),
        known=np.array([fingerprint(names[i]) for i in common], np.uint32),
        lexicon=keys,
        valence=np.array([forms.lexicon[int(key)] for key in keys], np.int8),
        card=np.frombuffer(json.dumps(card).encode(), np.uint8),
        window=trained.weights["window"].astype(np.float16),
        bias=trained.weights["bias"].astype(np.float16),
        out=trained.weights["out"].astype(np.float16),
        prior=trained.weights["prior"].astype(np.float32),
    )


def calibrate(path: Path, rows: Sequence[Row]) -> tuple[float, float]:
    """Move the threshold of neutral, and set the temperature that makes the probabilities fit ``rows``.

    Macro-F1 is flat about its best; within ``SPARE`` of it we take the shift that says neutral most often, since a
    wrong word to learn from costs more than none. Rewrites the weights; returns the shift and the temperature.
    """
    logits = Classifier(path).logits_of([row.text for row in rows])
    true = np.array([row.label for row in rows])
    english = np.array([row.language == "en" for row in rows])

    def quality(shift: float) -> float:
        said = (logits + np.array([0, shift, 0])).argmax(axis=1)
        return float(np.mean([macro_f1(true[mine], said[mine]) for mine in (english, ~english)]))

    def surprise(heat: float) -> float:
        chance = probabilities((logits + np.array([0, shift, 0])) / heat)
        return -float(np.log(chance[np.arange(len(true)), true]).mean())

    qualities = {shift: quality(shift) for shift in np.arange(-0.5, 0.81, 0.05).tolist()}
    shift = max(shift for shift, found in qualities.items() if found >= max(qualities.values()) - SPARE)
    heat = min(np.arange(0.5, 2.01, 0.05).tolist(), key=surprise)
    with np.load(path, allow_pickle=False) as arrays:
        weights = dict(arrays)
    weights["out"] = (weights["out"].astype(np.float32) / heat).astype(np.float16)
    weights["prior"] = ((weights["prior"] + np.array([0, shift, 0])) / heat).astype(np.float32)
    np.savez(path, **weights)
    return shift, heat


def macro_f1(true: NDArray[np.int64], said: NDArray[np.int64]) -> float:
    """Mean over the three labels of the harmonic mean of precision and recall."""
    scores = []
    for label in range(3):
        hit = int(((true == label) & (said == label)).sum())
        scores.append(2 * hit / max(int((true == label).sum() + (said == label).sum()), 1))
    return float(np.mean(scores))


if __name__ == "__main__":
    main()
