"""From dialogues to examples: verdicts, methods, held-out dialogues."""

import json
from pathlib import Path

import pytest

from hypotez.dialogue.dataset import dataset, exchanges, repeated, split
from hypotez.dialogue.saved import Dialogue, find, read


def said(question: str, answer: str, **more: object) -> list[dict]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer, **more}]


def learnt(*entries: list[dict], method: str | None = None):
    return dataset(exchanges([Dialogue("d", [entry for pair in entries for entry in pair])]), method)


def texts(examples: list[dict]) -> list[list[str]]:
    return [[message["content"] for message in example["messages"]] for example in examples]


def test_good_answers_are_shown():
    made = learnt(said("a", "A", sentiment="positive"), said("b", "B"))

    assert made.method == "supervised"
    assert texts(made.examples) == [["a", "A"], ["b", "B"]]
    assert made.unused == 0


def test_a_bad_answer_with_nothing_better_makes_everything_labelled():
    made = learnt(said("a", "A"), said("b", "B", sentiment="negative"), said("c", "C", mark="negative", better="C!"))

    assert made.method == "kto"
    assert list(zip(texts(made.examples), [e["label"] for e in made.examples], strict=True)) == [
        (["a", "A"], True),
        (["b", "B"], False),
        (["c", "C"], False),
        (["c", "C!"], True),
    ]
    assert made.unused == 0


def test_a_bad_answer_beside_a_good_one_to_the_same_question_makes_a_pair():
    made = learnt(said("a", "A"), said("a", "bad", mark="negative"), said("b", "B"))

    assert made.method == "dpo"
    assert [(e["preferred_output"][0]["content"], e["non_preferred_output"][0]["content"]) for e in made.examples] == [
        ("A", "bad")
    ]
    assert made.unused == 1  # "B" has no rival


def test_a_mark_outweighs_the_sentiment():
    made = learnt(said("a", "A", sentiment="negative", mark="positive"), said("b", "B", mark="neutral"))

    assert made.method == "supervised"
    assert len(made.examples) == 2


def test_corrections_are_shown_when_supervised_is_asked_for():
    made = learnt(
        said("a", "A"),
        said("b", "B", mark="negative", better="B!"),
        said("c", "C", mark="negative"),
        method="supervised",
    )

    assert texts(made.examples) == [["a", "A"], ["b", "B!"]]
    assert made.unused == 1


def test_excluded_broken_off_and_empty_answers_are_left_out():
    made = learnt(
        said("a", "A", mark="exclude"), said("b", "B", partial=True), said("c", " "), said(" ", "D"), said("e", "E")
    )

    assert texts(made.examples) == [["e", "E"]]


def test_an_answer_keeps_the_system_instruction_and_the_history_it_was_given_with():
    entries = [
        *said("a", "A"),
        {"role": "system", "content": "Be kind."},
        *said("b", "B", history=2),
        *said("c", "C"),
    ]

    made = dataset(exchanges([Dialogue("d", entries)]))

    assert texts(made.examples) == [["a", "A"], ["Be kind.", "a", "A", "b", "B"], ["c", "C"]]


def test_the_same_answer_counts_once_with_its_latest_verdict():
    made = learnt(said("a", "A"), said("a", "A", mark="negative"), said("b", "B"))

    assert made.method == "kto"
    assert [e["label"] for e in made.examples] == [False, True]


def test_held_out_dialogues_are_whole_and_always_the_same():
    found = exchanges(Dialogue(f"{i}", [*said(f"a{i}", "A"), *said(f"b{i}", "B")]) for i in range(20))

    learn, held = split(found, 0.1)

    assert len({exchange.dialogue for exchange in held}) == 2
    assert {e.dialogue for e in learn}.isdisjoint(e.dialogue for e in held)
    assert len(learn) + len(held) == 40
    assert split(list(reversed(found)), 0.1)[1] == list(reversed(held))


def test_a_question_that_is_learnt_is_not_held_out():
    found = exchanges(Dialogue(f"{i}", [*said("same", f"A{i}"), *said(f"own{i}", "B")]) for i in range(10))

    _, held = split(found, 0.1)

    assert {exchange.question for exchange in held}.isdisjoint({"same"})


def test_few_dialogues_are_all_learnt_from():
    found = exchanges(Dialogue(f"{i}", said(f"a{i}", "A")) for i in range(3))

    assert split(found, 0.5) == (found, [])


def test_few_examples_are_repeated():
    assert repeated([{"a": 1}, {"b": 2}], 5) == [{"a": 1}, {"b": 2}, {"a": 1}, {"b": 2}, {"a": 1}]
    assert repeated([], 5) == []


@pytest.mark.parametrize(
    ("content", "sizes"),
    [
        pytest.param(json.dumps(said("a", "A")), [2], id="one dialogue"),
        pytest.param(json.dumps({"messages": said("a", "A")}), [2], id="an object"),
        pytest.param(json.dumps([said("a", "A"), said("b", "B")]), [2, 2], id="several"),
        pytest.param("[]", [], id="empty"),
        pytest.param('{"name": "x"}', [], id="something else"),
        pytest.param("[{", [], id="torn"),
        pytest.param("3", [], id="number"),
    ],
)
def test_saved_files_are_read_as_they_are(tmp_path: Path, content: str, sizes: list[int]):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "x.json").write_text(content)
    (tmp_path / ".x.json.a").write_text("hidden")

    dialogues = read(find([tmp_path]))

    assert [len(dialogue.entries) for dialogue in dialogues] == sizes
