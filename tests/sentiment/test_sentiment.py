"""determine_sentiment as a user calls it: what it says, and that it always says something."""

import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from hypotez.sentiment import determine_sentiment, determine_sentiments, score, scores
from hypotez.sentiment.classifier import LABELS, WEIGHTS, Classifier
from hypotez.sentiment.tokens import LIMIT, cut
from hypotez.sentiment.train import macro_f1


def messages(name: str) -> list[dict[str, str]]:
    lines = Path(__file__).with_name(name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


CHAT = messages("chat.jsonl")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("not bad at all", "positive"),
        ("goodbye", "neutral"),
        ("The capital of France is Paris.", "neutral"),
        ("I love this, thank you so much", "positive"),
        ("This is terrible, nothing works", "negative"),
        ("Спасибо огромное, ты меня очень выручил", "positive"),
        ("Ужасный сервис, больше сюда ни ногой", "negative"),
        ("Столица Франции — Париж.", "neutral"),
        ("def add(a, b): return a + b", "neutral"),
        ("😍", "positive"),
        ("😡", "negative"),
    ],
)
def test_plain_cases(message: str, expected: str):
    assert determine_sentiment(message) == expected


@pytest.mark.parametrize(("language", "least"), [("en", 0.87), ("ru", 0.86)])
def test_macro_f1_on_the_chat_messages_stays_where_the_card_says(language: str, least: float):
    rows = [row for row in CHAT if row["lang"] == language]
    true = np.array([LABELS.index(row["label"]) for row in rows])

    said = np.array([LABELS.index(label) for label in determine_sentiments([row["text"] for row in rows])])

    assert macro_f1(true, said) >= least


@pytest.mark.parametrize(("language", "most"), [("en", 6), ("ru", 14)])
def test_most_negations_of_the_set_for_choosing_are_understood(language: str, most: int):
    rows = [row for row in messages("negation.jsonl") if row["lang"] == language]

    wrong = [row["text"] for row in rows if determine_sentiment(row["text"]) != row["label"]]

    assert len(rows) == 70
    assert len(wrong) <= most, wrong


def test_the_chat_messages_are_half_english_half_russian_and_of_every_kind():
    languages, kinds = Counter(row["lang"] for row in CHAT), {row["kind"] for row in CHAT}

    assert len(CHAT) >= 300
    assert abs(languages["en"] - languages["ru"]) <= 10
    assert {"negation", "but", "emoji", "slang", "typo", "capitals", "code", "assistant", "mixed"} <= kinds


@pytest.mark.parametrize(
    "message",
    [
        "",
        " ",
        "\n\t\u00a0",
        "👍",
        "👩‍👩‍👧",
        "\x00\x01\xff\ufffe",
        "\ud800",
        "```",
        "`" * 5000,
        "(" * 5000,
        "<" * 5000,
        "a" * 100_000,
        "1" * 100_000,
        "@" * 5000,
        "。你好,很高兴认识你",
        "مرحبا بالعالم",
        "नमस्ते दुनिया",
        "สวัสดี",
        "Ich weiß nicht, was soll es bedeuten",
        "й" * 3000,
        "е\u0308\u0301" * 300,
        "İSTANBUL ẞ ŉ ﬁ",
    ],
    ids=range(22),
)
def test_every_string_has_an_answer(message: str):
    found = score(message)

    assert determine_sentiment(message) in LABELS
    assert abs(sum(found) - 1) < 1e-5


def test_random_bytes_have_an_answer():
    chance = random.Random(0)
    messages = [chance.randbytes(300).decode("utf-8", "replace") for _ in range(50)]
    messages += [chance.randbytes(300).decode("latin-1") for _ in range(50)]
    messages += ["".join(chr(chance.randrange(0x110000)) for _ in range(100)) for _ in range(50)]

    assert set(determine_sentiments(messages)) <= set(LABELS)


@pytest.mark.parametrize("blank", ["", "   ", "\n", "…"])
def test_a_message_without_words_is_neutral(blank: str):
    assert determine_sentiment(blank) == "neutral"


def test_the_label_is_the_most_probable_one():
    for row in CHAT:
        found = score(row["text"])
        assert getattr(found, determine_sentiment(row["text"])) == max(found)


def test_many_at_once_say_the_same_as_one_by_one():
    messages = [row["text"] for row in CHAT] + ["", " ", "a" * 9000]

    together = scores(messages)

    for message, found in zip(messages, together, strict=True):
        assert found == pytest.approx(score(message), abs=1e-4)


def test_no_messages_have_no_sentiments():
    assert determine_sentiments([]) == []
    assert scores([]) == []


def test_the_neighbours_in_a_batch_do_not_matter():
    first = scores(["not bad at all", "this is terrible"])[0]
    second = scores(["not bad at all", "", "great! but " * 400])[0]

    assert first == pytest.approx(second, abs=1e-5)


def test_of_a_megabyte_only_so_much_is_looked_at():
    small, large = "really very bad, " * 1000, "really very bad, " * 60_000

    assert len(large) > 1_000_000
    assert len(cut(large)) <= LIMIT
    assert abs(len(cut(large)) - len(cut(small))) <= 2
    assert determine_sentiment(large) == "negative"


@pytest.mark.parametrize("piece", ["x", "a.", "1,", "!", ":-", "`a", "http:", "a-b@", "(:", "ж"])
def test_the_tokens_of_a_message_are_linear_in_its_length(piece: str):
    short, long = cut(piece * 100), cut(piece * 1000)

    assert len(long) <= 10 * len(short) + 10


def test_the_end_of_a_long_message_is_read_as_well_as_its_beginning():
    filler = "The report has ten pages. " * 4000

    assert cut(filler + "zzz")[-1] == "zzz"
    assert cut("zzz " + filler)[0] == "zzz"


def test_words_are_forgotten_when_there_are_too_many():
    classifier = Classifier(kept=50)
    before = classifier.logits("not bad at all")

    for number in range(100):
        classifier.logits(f"слово{chr(1072 + number % 32)}{chr(1072 + number // 32)} some word{chr(97 + number % 26)}")
        assert len(classifier) <= 60

    assert classifier.logits("not bad at all") == pytest.approx(before, abs=1e-5)


def test_threads_share_one_classifier():
    classifier = Classifier()
    texts = [row["text"] for row in CHAT]
    expected = Classifier().logits_of(texts)
    found: dict[int, list[np.ndarray]] = {}

    def work(number: int) -> None:
        found[number] = [classifier.logits(text) for text in texts]

    threads = [Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for answers in found.values():
        assert np.array(answers) == pytest.approx(expected, abs=1e-4)


def test_the_weights_are_plain_arrays_of_at_most_six_megabytes():
    with np.load(WEIGHTS, allow_pickle=False) as arrays:
        assert all(arrays[name].dtype.kind in "iuf" for name in arrays.files)
    assert WEIGHTS.stat().st_size <= 6_000_000


def test_it_needs_numpy_and_nothing_heavier():
    code = (
        "import sys; from hypotez.sentiment import determine_sentiment; determine_sentiment('hi');"
        "print(sorted({'torch', 'sklearn', 'scipy', 'openai', 'vaderSentiment', 'textblob'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
