"""What one word is by itself: its hashed parts, its valence in the word lists, its flags.

Shared by training and answering. Hashes are CRC-32 of UTF-16, the same on every machine and every Python.
"""

from collections.abc import Mapping
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from hypotez.sentiment.tokens import Role, grams, smile, stem

FLAGS = 7  # numbers beside a word's vector
DENIED = 2  # which of them is 1 under a negation, else 0
VALENCE_UNIT = 0.05  # valences are stored as whole numbers of this
_NEGATOR, _TURN = int(Role.NEGATOR), int(Role.TURN)
_OPPOSITE = -0.7  # what "не-" glued to a word makes of its valence


def fingerprint(text: str, seed: int = 0) -> int:
    """32 bits that stand for ``text``."""
    return crc32(text.encode("utf-16-le", "surrogatepass"), seed)


def buckets(form: str, size: int) -> tuple[list[int], list[float]]:
    """The rows of the hashed table that make up a word, and the share of each: itself, its stem, its n-grams."""
    columns, shares = [fingerprint(form, 7) % size], [1.0]
    if form[0].isalpha():
        columns.append(fingerprint(stem(form), 17) % size)
        shares.append(1.0)
        pieces = [gram % size for gram in grams(form)]
        columns += pieces
        shares += [len(pieces) ** -0.5] * len(pieces)
    return columns, shares


def pair(left: NDArray[np.int64], right: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """The row of two neighbours, given their fingerprints, in a table of ``size`` rows, a power of two."""
    return (31 * left + right) & (size - 1)


def valence_of(form: str, code: int, lexicon: Mapping[int, int]) -> float:
    """What the word lists say of a word of fingerprint ``code``, an emoji or a typed smile; 0 when they are silent."""
    found = lexicon.get(code)
    if found is not None:
        return found * VALENCE_UNIT
    if len(form) > 4 and form.startswith("не"):
        return lexicon.get(fingerprint(form[2:]), 0) * VALENCE_UNIT * _OPPOSITE
    return 0.0 if form[0].isalpha() and len(form) > 3 else 1.2 * smile(form)


def flags(kinds: NDArray[np.int64], valences: NDArray[np.float32]) -> NDArray[np.float32]:
    """The numbers beside the vectors of words, as they stand and under a negation, (2, N, FLAGS)."""
    both = np.zeros((2, len(kinds), FLAGS), np.float32)
    both[:, :, 0] = both[1, :, 3] = np.maximum(valences, 0)
    both[:, :, 1] = both[1, :, 4] = np.maximum(-valences, 0)
    both[1, :, DENIED] = 1
    both[:, :, 5], both[:, :, 6] = kinds == _NEGATOR, kinds == _TURN
    return both
