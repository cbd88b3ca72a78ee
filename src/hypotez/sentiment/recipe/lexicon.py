"""Word lists: how kind or unkind a word is by itself, English, Russian and emoji.

English comes from the vaderSentiment package (MIT), Russian from CEDR's emotion words (Apache-2.0), every form of each
word through pymorphy3's dictionary. ``words.*.txt`` and ``emoji.txt`` beside this file add what those lack: most of the
Russian, and the slang and the complaints of today.
"""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from hypotez.errors import MissingExtra
from hypotez.sentiment.words import VALENCE_UNIT, fingerprint

HERE = Path(__file__).parent
CEDR = {"joy": 0.7, "sadness": -0.7, "anger": -0.7, "fear": -0.6}  # surprise goes both ways


def lexicon(folder: Path) -> dict[int, int]:
    """Fingerprint of every known form to its valence in units of ``VALENCE_UNIT``, about -2 to 2."""
    words = {**_cedr(folder / "cedr-emotion-words.ru.json"), **_russian(), **_english(), **_emoji()}
    return {fingerprint(form): round(valence / VALENCE_UNIT) for form, valence in words.items()}


def _english() -> dict[str, float]:
    try:
        import vaderSentiment
    except ImportError as exc:
        raise MissingExtra("sentiment", "Training the sentiment classifier (vaderSentiment)") from exc
    lines = (Path(vaderSentiment.__file__).parent / "vader_lexicon.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("\t")[:2] for line in lines)
    return {
        **dict(_signed("words.en.txt")),
        **{word.lower(): float(mean) / 2 for word, mean in pairs if word.isalpha()},
    }


def _russian() -> dict[str, float]:
    found: dict[str, float] = {}
    for word, sign in _signed("words.ru.txt"):
        for form in forms_of(word):
            found.setdefault(form, sign)
    return found


def _signed(name: str) -> Iterator[tuple[str, float]]:
    """The words of a list, kind ones with 1, unkind ones with -1."""
    sign = 1.0
    for line in (HERE / name).read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            sign = 1.0 if line == "# kind" else -1.0
        else:
            yield from ((word, sign) for word in line.split())


def _cedr(path: Path) -> dict[str, float]:
    found: dict[str, float] = {}
    for emotion, words in json.loads(path.read_text(encoding="utf-8")).items():
        for word in words if emotion in CEDR else ():
            for form in forms_of(word):
                found.setdefault(form, CEDR[emotion])
    return found


def _emoji() -> dict[str, float]:
    found: dict[str, float] = {}
    for line in (HERE / "emoji.txt").read_text(encoding="utf-8").splitlines():
        valence, signs = line.split()
        for sign in signs:
            if sign not in "\ufe0f\u200d":
                found.setdefault(sign, int(valence) / 2)
    return found


def forms_of(word: str) -> set[str]:
    """Every form of a Russian word, ё written as е."""
    word = word.lower().replace("ё", "е")
    if not word.isalpha():
        return {word}
    return {word, *(form.word.replace("ё", "е") for form in _morphology().parse(word)[0].lexeme)}


def lemmas_of(form: str) -> list[str]:
    """The two likeliest dictionary words that a Russian form may belong to, itself last; none of any other form."""
    if not "а" <= form[0] <= "я":
        return []
    return [*(parsed.normal_form.replace("ё", "е") for parsed in _morphology().parse(form)[:2]), form]


@cache
def _morphology() -> Any:
    try:
        import pymorphy3
    except ImportError as exc:
        raise MissingExtra("sentiment", "Training the sentiment classifier (pymorphy3)") from exc
    return pymorphy3.MorphAnalyzer()
