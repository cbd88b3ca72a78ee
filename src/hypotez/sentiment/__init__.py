"""How a message feels: positive, negative or neutral; English and Russian.

    >>> determine_sentiment("not bad at all")
    'positive'

A small trained network that ships inside the package (``classifier.py``) and, for those who set
``sentiment = "model"``, the chat model itself as judge (``judge.py``). Knows nothing of dialogues, files or HTTP. What
it was trained on, how good it is and where it fails: docs/sentiment.md.
"""

from collections.abc import Sequence
from functools import cache

from hypotez.sentiment.classifier import LABELS, Classifier, Scores, Sentiment, probabilities
from hypotez.sentiment.judge import question, read

__all__ = [
    "Scores",
    "Sentiment",
    "determine_sentiment",
    "determine_sentiments",
    "question",
    "read",
    "score",
    "scores",
]


def determine_sentiment(message: str) -> Sentiment:
    """The sentiment of ``message``; neutral when unsure. Any string has an answer."""
    return LABELS[int(shipped().logits(message).argmax())]


def determine_sentiments(messages: Sequence[str]) -> list[Sentiment]:
    """The same for many messages at once, about twice as fast."""
    return [LABELS[i] for i in shipped().logits_of(messages).argmax(axis=1).tolist()]


def score(message: str) -> Scores:
    """Probability of each answer. The most probable one is what ``determine_sentiment`` says."""
    return Scores(*probabilities(shipped().logits(message)).tolist())


def scores(messages: Sequence[str]) -> list[Scores]:
    """The same for many messages at once."""
    return [Scores(*row) for row in probabilities(shipped().logits_of(messages)).tolist()]


@cache
def shipped() -> Classifier:
    """The shipped classifier, loaded when first needed."""
    return Classifier()
