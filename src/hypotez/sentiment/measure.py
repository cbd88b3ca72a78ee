"""``python -m hypotez.sentiment.measure --data DIR --chat FILE``: macro-F1 of the shipped weights, as a table.

Judges on the held-out tenth of the labelled rows and on a file of chat messages, per language and, for the chat, per
kind of message. ``--baselines`` sets VADER, TextBlob and a character n-gram logistic regression beside them, the last
trained on the very rows the network learned from, and once more on the labelled ones alone, as they came; that takes
minutes and needs ``pip install 'hypotez[sentiment]'``.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hypotez.sentiment import determine_sentiments
from hypotez.sentiment.classifier import LABELS
from hypotez.sentiment.recipe.rows import Row, labelled
from hypotez.sentiment.train import examples, macro_f1

Labels = NDArray[np.int64]
Judge = Callable[[Sequence[str]], Labels]


class Judged(NamedTuple):
    """Messages with their true labels, and how to name the group each belongs to."""

    name: str
    rows: list[Row]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m hypotez.sentiment.measure", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with labelled.jsonl.gz")
    parser.add_argument("--chat", type=Path, required=True, help="JSONL of {text, label, lang, kind}")
    parser.add_argument("--apart", type=Path, nargs="*", default=[], help="what else the weights never learned from")
    parser.add_argument("--part", default="held out", choices=["held out", "settings"])
    parser.add_argument("--baselines", action="store_true", help="measure the baselines too")
    chosen = parser.parse_args()
    chat = [json.loads(line) for line in chosen.chat.read_text(encoding="utf-8").splitlines()]
    sets = [
        Judged(chosen.part, [row for row in labelled(chosen.data) if row.part == chosen.part]),
        Judged("chat", [Row(c["text"], LABELS.index(c["label"]), c["lang"], c["kind"]) for c in chat]),
    ]
    judges: dict[str, Judge] = {"hypotez": network}
    if chosen.baselines:
        apart = [chosen.chat, *chosen.apart]
        judges |= {"VADER": vader, "TextBlob": textblob, "n-grams": ngrams(examples(chosen.data, apart)[0])}
    said = {name: [judge([row.text for row in judged.rows]) for judged in sets] for name, judge in judges.items()}
    if chosen.baselines:
        came = labelled(chosen.data, mended=False)
        alone = ngrams([row for row in came if row.part == "training"])
        texts = [row.text for row in came if row.part == chosen.part], [message["text"] for message in chat]
        said["n-grams, labelled rows alone"] = [alone(part) for part in texts]
    print(table(sets, said))


def table(sets: list[Judged], said: dict[str, list[Labels]]) -> str:
    """Macro-F1 per set and language; errors per kind for the last set."""
    lines = ["| set | language | rows | " + " | ".join(said) + " |", "|---" * (3 + len(said)) + "|"]
    for number, judged in enumerate(sets):
        true = np.array([row.label for row in judged.rows])
        for language in ("en", "ru"):
            mine = np.array([row.language == language for row in judged.rows])
            cells = [f"{macro_f1(true[mine], answers[number][mine]):.3f}" for answers in said.values()]
            lines.append(f"| {judged.name} | {language} | {mine.sum()} | " + " | ".join(cells) + " |")
    chat, last = sets[-1], len(sets) - 1
    true = np.array([row.label for row in chat.rows])
    lines += ["", "| errors on chat | messages | " + " | ".join(said) + " |", "|---" * (2 + len(said)) + "|"]
    for kind in dict.fromkeys(row.source for row in chat.rows):
        for language in ("en", "ru"):
            mine = np.array([row.source == kind and row.language == language for row in chat.rows])
            cells = [str(int((true[mine] != answers[last][mine]).sum())) for answers in said.values()]
            lines.append(f"| {kind}, {language} | {mine.sum()} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def network(texts: Sequence[str]) -> Labels:
    return np.array([LABELS.index(label) for label in determine_sentiments(texts)])


def vader(texts: Sequence[str]) -> Labels:
    """VADER with its authors' thresholds."""
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    analyser = SentimentIntensityAnalyzer()
    found = np.array([analyser.polarity_scores(text)["compound"] for text in texts])
    return np.where(found >= 0.05, 2, np.where(found <= -0.05, 0, 1))


def textblob(texts: Sequence[str]) -> Labels:
    """TextBlob's polarity, zero being neutral."""
    from textblob import TextBlob

    found = np.array([TextBlob(text).sentiment.polarity for text in texts])
    return np.where(found > 0, 2, np.where(found < 0, 0, 1))


def ngrams(rows: list[Row]) -> Judge:
    """Logistic regression on TF-IDF of character n-grams, 1 to 4 long, the 200,000 most frequent."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    vectors = TfidfVectorizer(analyzer="char", ngram_range=(1, 4), max_features=200_000, sublinear_tf=True)
    model = LogisticRegression(C=1.0, max_iter=60)
    model.fit(vectors.fit_transform([row.text for row in rows]), [row.label for row in rows])
    return lambda texts: np.asarray(model.predict(vectors.transform(texts)), np.int64)


if __name__ == "__main__":
    main()
