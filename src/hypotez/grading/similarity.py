"""How alike two texts are, from 0 to 1, by the measures of a text_similarity grader. Pure.

Sources: Papineni et al. 2002 (BLEU, smoothed as sacrebleu does), Wu et al. 2016 (GLEU), Lin 2004 (ROUGE, F1), Banerjee
and Lavie 2005 with NLTK's weights (METEOR, equal words only), rapidfuzz's ``ratio`` (fuzzy_match). Words are Unicode's,
so that Russian is measured as English is.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from itertools import pairwise

_WORD = re.compile(r"\w+")
_TOKEN = re.compile(r"\w+|[^\w\s]")


def similarity(metric: str, text: str, reference: str) -> float:
    """``metric`` as the wire names it, but for ``cosine``, which needs a model."""
    match metric:
        case "fuzzy_match":
            return fuzzy(text, reference)
        case "bleu":
            return bleu(_TOKEN.findall(text), _TOKEN.findall(reference))
        case "gleu":
            return gleu(_TOKEN.findall(text), _TOKEN.findall(reference))
        case "meteor":
            return meteor(_words(text), _words(reference))
        case "rouge_l":
            return rouge_l(_words(text), _words(reference))
        case _:
            return rouge_n(_words(text), _words(reference), int(metric.removeprefix("rouge_")))


def fuzzy(text: str, reference: str) -> float:
    """Twice the longest common subsequence of letters over both lengths."""
    total = len(text) + len(reference)
    return 2 * longest_common(text, reference) / total if total else 1.0


def bleu(words: Sequence[str], reference: Sequence[str]) -> float:
    """Of one sentence: orders 1 to 4 as far as it is long enough, a missing one smoothed exponentially."""
    logs, smooth, hit = [], 1.0, False
    for n in range(1, min(4, len(words)) + 1):
        overlap, total = _overlap(words, reference, n), len(words) - n + 1
        hit = hit or overlap > 0
        if not overlap:
            smooth *= 2
        logs.append(math.log(overlap / total if overlap else 1 / (smooth * total)))
    if not hit:
        return 0.0
    brevity = min(0.0, 1 - len(reference) / len(words))
    return math.exp(brevity + sum(logs) / len(logs))


def gleu(words: Sequence[str], reference: Sequence[str]) -> float:
    """The smaller of precision and recall over all orders 1 to 4 together."""
    overlap = sum(_overlap(words, reference, n) for n in range(1, 5))
    most = max(sum(max(0, len(side) - n + 1) for n in range(1, 5)) for side in (words, reference))
    return overlap / most if most else 0.0


def meteor(words: Sequence[str], reference: Sequence[str]) -> float:
    """Recall weighs nine times precision; words that match in many short runs cost up to half."""
    places: defaultdict[str, list[int]] = defaultdict(list)
    for at, word in enumerate(reference):
        places[word].append(at)
    # the last equal word that is free, from the end on
    pairs = [(at, places[word].pop()) for at, word in reversed(list(enumerate(words))) if places.get(word)]
    if not pairs:
        return 0.0
    pairs.reverse()
    runs = 1 + sum(b != (a[0] + 1, a[1] + 1) for a, b in pairwise(pairs))
    precision, recall = len(pairs) / len(words), len(pairs) / len(reference)
    mean = precision * recall / (0.9 * precision + 0.1 * recall)
    return mean * (1 - 0.5 * (runs / len(pairs)) ** 3)


def rouge_n(words: Sequence[str], reference: Sequence[str], n: int) -> float:
    overlap = _overlap(words, reference, n)
    return _f1(overlap, max(0, len(words) - n + 1), max(0, len(reference) - n + 1))


def rouge_l(words: Sequence[str], reference: Sequence[str]) -> float:
    return _f1(longest_common(words, reference), len(words), len(reference))


def longest_common(a: Sequence[Hashable], b: Sequence[Hashable]) -> int:
    """Length of the longest common subsequence; one long number stands for a row of the table (Hyyrö 2004)."""
    places: defaultdict[Hashable, int] = defaultdict(int)
    for at, item in enumerate(b):
        places[item] |= 1 << at
    full = (1 << len(b)) - 1
    row = full
    for item in a:
        if (here := places.get(item)) is not None:
            row = ((row + (row & here)) | (row & ~here)) & full
    return len(b) - row.bit_count()


def _overlap(words: Sequence[str], reference: Sequence[str], n: int) -> int:
    return sum((_grams(words, n) & _grams(reference, n)).values())


def _grams(words: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[at : at + n]) for at in range(len(words) - n + 1))


def _f1(overlap: int, said: int, wanted: int) -> float:
    return 2 * overlap / (said + wanted) if overlap else 0.0


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())
