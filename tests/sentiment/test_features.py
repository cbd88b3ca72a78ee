"""What is read out of a message: tokens, negation, turns, hashes that never change."""

import pytest

from hypotez.sentiment.features import DENSE, Word, read
from hypotez.sentiment.tokens import Role, cut, normal, role, smile, stem
from hypotez.sentiment.words import buckets, fingerprint


class Numbered(dict):
    """Every token gets two rows of its own; the names are kept."""

    def __missing__(self, token: str) -> Word:
        form = normal(token)
        place = 2 * len(self)
        word = self[token] = Word(int(role(form)), place, place + 1, 0.0, 0, 0, 0, 0)
        return word


def denied(message: str) -> list[str]:
    words = Numbered()
    rows = read(message, words).rows
    names = {word.denied: token for token, word in words.items()}
    return [names[row] for row in rows if row in names]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("this is not bad", ["bad"]),
        ("I don't like it at all today", ["like", "it", "at"]),
        ("not good, bad", ["good"]),
        ("not cheap but good", ["cheap"]),
        ("мне не нравится", ["нравится"]),
        ("нет, хорошо", []),
        ("a good day", []),
    ],
)
def test_a_negation_reaches_three_words_or_the_next_stop(message: str, expected: list[str]):
    assert denied(message) == expected


def test_a_turn_marks_what_came_before():
    assert read("nice but slow", Numbered()).turn == 1
    assert read("nice and fast", Numbered()).turn == 0


def test_there_are_as_many_numbers_about_the_whole_as_the_network_expects():
    assert len(read("anything :) (at all)", Numbered()).dense) == DENSE


@pytest.mark.parametrize(
    ("message", "tokens"),
    [
        ("Don't!", ["Don't", "!"]),
        ("wow :) ok", ["wow", ":)", "ok"]),
        ("смешно)))", ["смешно", ")))"]),
        ("see https://a.b/c?d=1 now", ["see", "https://a.b/c?d=1", "now"]),
        ("`rm bad` fine", ["fine"]),
        ("```\nawful\n``` ok", ["ok"]),
        ("😍😍", ["😍", "😍"]),
        ("", []),
    ],
)
def test_tokens(message: str, tokens: list[str]):
    assert cut(message) == tokens


@pytest.mark.parametrize(
    ("token", "form"), [("Sooooo", "soo"), ("ЁЛКА", "елка"), ("don’t", "don't"), ("12.5", "0"), ("@bob", "@")]
)
def test_normal_forms(token: str, form: str):
    assert normal(token) == form


@pytest.mark.parametrize(
    ("one", "other"), [("красивая", "красивого"), ("ужасный", "ужасные"), ("works", "working"), ("phones", "phone")]
)
def test_forms_of_a_word_share_a_stem(one: str, other: str):
    assert stem(one) == stem(other)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("but", Role.TURN),
        ("не", Role.NEGATOR),
        ("isn't", Role.NEGATOR),
        (",", Role.STOP),
        ("dog", Role.WORD),
        ("😍", Role.OTHER),
    ],
)
def test_roles(form: str, expected: Role):
    assert role(form) == expected


@pytest.mark.parametrize(("form", "expected"), [(":)", 1), (":(", -1), ("<3", 1), ("=d", 1), ("word", 0), (":", 0)])
def test_typed_smiles(form: str, expected: int):
    assert smile(form) == expected


def test_hashes_are_the_same_on_every_machine():
    columns, shares = buckets("cat", 1000)

    assert fingerprint("хорошо") == 0x4139B703
    assert columns == [779, 909, 382, 339, 122, 203, 272, 633]
    assert shares == pytest.approx([1, 1, *[6**-0.5] * 6])
