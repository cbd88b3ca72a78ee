"""The measures of text_similarity, against the libraries that are known for them."""

import random

import pytest

from hypotez.grading.similarity import similarity

WORDS = ["the", "cat", "sat", "on", "mat", "a", "dog", "ran", "fast", "12", "with", "red"]


def texts(seed=0, count=200):
    """Pairs of sentences, alike and not; the first may be empty."""
    drawn = random.Random(seed)
    for _ in range(count):
        yield tuple(" ".join(drawn.choices(WORDS, k=drawn.randint(low, 12))) for low in (0, 1))


def test_fuzzy_match_is_rapidfuzz_ratio():
    fuzz = pytest.importorskip("rapidfuzz").fuzz

    for a, b in [*texts(), ("", ""), ("Привет", "привет, мир"), ("x" * 500, "xy" * 400)]:
        assert similarity("fuzzy_match", a, b) == pytest.approx(fuzz.ratio(a, b) / 100)


def test_bleu_is_sacrebleu():
    bleu = pytest.importorskip("sacrebleu").BLEU(effective_order=True, tokenize="none")

    for a, b in texts():
        assert similarity("bleu", a, b) == pytest.approx(bleu.sentence_score(a, [b]).score / 100)


@pytest.mark.parametrize("metric", ["rouge_1", "rouge_2", "rouge_3", "rouge_4", "rouge_5", "rouge_l"])
def test_rouge_is_googles(metric):
    scorer = pytest.importorskip("rouge_score.rouge_scorer")
    theirs = metric.replace("_l", "L").replace("_", "")
    rouge = scorer.RougeScorer([theirs])

    for a, b in texts():
        assert similarity(metric, a, b) == pytest.approx(rouge.score(b, a)[theirs].fmeasure)


def test_gleu_and_meteor_are_nltks():
    gleu = pytest.importorskip("nltk.translate.gleu_score").sentence_gleu
    meteor = pytest.importorskip("nltk.translate.meteor_score").single_meteor_score

    class Same:
        """Neither stems nor synonyms."""

        def stem(self, word):
            return word

        def synsets(self, *_):
            return []

    for a, b in texts():
        if not a:
            continue
        assert similarity("gleu", a, b) == pytest.approx(gleu([b.split()], a.split()))
        wanted = meteor(b.split(), a.split(), stemmer=Same(), wordnet=Same())
        assert similarity("meteor", a, b) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        ("fuzzy_match", 34 / 42),
        ("bleu", (2 / 3 * 1 / 2 * 1 / 2) ** (1 / 3)),  # no three words in a row: half of one of one
        ("gleu", 3 / 6),
        ("meteor", 2 / 3 * (1 - 0.5 * (1 / 2) ** 3)),
        ("rouge_1", 2 / 3),
        ("rouge_2", 1 / 2),
        ("rouge_5", 0.0),
        ("rouge_l", 2 / 3),
    ],
)
def test_russian_words_count_as_words(metric, value):
    assert similarity(metric, "столица Франции Париж", "столица Франции город") == pytest.approx(value)
