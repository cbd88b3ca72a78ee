"""DPO and KTO move what the model prefers, on prompts that they were not trained on too."""

from dataclasses import replace

import pytest
import torch
from tests.training.conftest import QUESTIONS, Notebook, conversation, write

from hypotez.errors import DataError
from hypotez.nn.adapters import load_adapter
from hypotez.nn.load import load
from hypotez.text import Chat
from hypotez.training.examples import Examples, read_judged, read_pairs
from hypotez.training.job import Spec, train
from hypotez.training.logps import Policy, lay, sums


def pair(question: str, better="preferred_output", worse="non_preferred_output") -> dict:
    say = [{"role": "assistant", "content": text} for text in (f"dear {question}", f"damn {question}")]
    return {"input": {"messages": [{"role": "user", "content": question}]}, better: [say[0]], worse: [say[1]]}


@pytest.fixture
def spec(base, tmp_path) -> Spec:
    """A model that has learnt to say both things equally often, and goes on from there."""
    rows = [conversation(q, f"{word} {q}") for q in QUESTIONS for word in ("dear", "damn")]
    first = Spec(str(base), write(tmp_path / "s.jsonl", rows), tmp_path / "s", n_epochs=12, threads=1)
    adapter = train(first, Notebook()).adapter
    return replace(first, work=tmp_path / "work", start_adapter=adapter, n_epochs=6, batch_size=4)


def share_of_the_better(base, adapter, file) -> float:
    """How often the model gives the better of two replies the higher probability."""
    decoder = load(base)
    load_adapter(decoder, 0, adapter)
    pairs = read_pairs(file, Chat.open(base), 256)
    laid = lay([sequence for i in range(len(pairs)) for sequence in pairs[i]])
    with torch.no_grad():
        better, worse = sums(Policy(decoder, 0, None).logps(laid)[0], laid).view(-1, 2).unbind(1)
    return float((better - worse > 1.0).float().mean())


@pytest.mark.parametrize("spelling", ["output", "completion"])
def test_dpo_prefers_the_better_reply_on_held_out_prompts(spec, base, tmp_path, spelling):
    held_out = write(tmp_path / "held.jsonl", [pair(q) for q in QUESTIONS[8:]])
    rows = [pair(q, f"preferred_{spelling}", f"non_preferred_{spelling}") for q in QUESTIONS[:8]]
    notebook = Notebook()

    file = write(tmp_path / "d.jsonl", rows)
    result = train(replace(spec, method="dpo", training_file=file, sft_weight=0.0), notebook)

    assert notebook.steps[1].train_loss == pytest.approx(0.6931, abs=1e-3), "the reference is where training starts"
    assert share_of_the_better(base, spec.start_adapter, held_out) < 1.0
    assert share_of_the_better(base, result.adapter, held_out) == 1.0


def likelihood_of_the_better(base, adapter, file) -> float:
    """The mean log-probability of the replies to be given."""
    decoder = load(base)
    load_adapter(decoder, 0, adapter)
    pairs = read_pairs(file, Chat.open(base), 256)
    laid = lay([pairs[i][0] for i in range(len(pairs))])
    with torch.no_grad():
        return float(sums(Policy(decoder, 0, None).logps(laid)[0], laid).mean())


def test_by_itself_dpo_is_held_by_the_replies_to_be_given(spec, base, tmp_path):
    file = write(tmp_path / "d.jsonl", [pair(q) for q in QUESTIONS[:8]])
    held_out = write(tmp_path / "held.jsonl", [pair(q) for q in QUESTIONS[8:]])
    auto = replace(spec, method="dpo", training_file=file)

    held = train(auto, Notebook()).adapter
    plain = train(replace(auto, sft_weight=0.0, work=tmp_path / "plain"), Notebook()).adapter

    assert share_of_the_better(base, held, held_out) == 1.0
    before, after = (likelihood_of_the_better(base, adapter, file) for adapter in (plain, held))
    assert after > before + 1


def test_kto_with_unpaired_and_unbalanced_examples_does_the_same(spec, base, tmp_path):
    held_out = write(tmp_path / "held.jsonl", [pair(q) for q in QUESTIONS[8:]])
    rows = [conversation(q, f"damn {q}", label=False) for q in QUESTIONS[:8]]
    rows += [conversation(q, f"dear {q}", label=True) for q in QUESTIONS[:2]]

    file = write(tmp_path / "k.jsonl", rows)
    result = train(replace(spec, method="kto", training_file=file, n_epochs=12), Notebook())

    assert share_of_the_better(base, result.adapter, held_out) == 1.0


def test_kto_of_bad_examples_alone_makes_them_unlikely(spec, base, tmp_path):
    rows = [conversation(q, f"damn {q}", label=False) for q in QUESTIONS]
    file = write(tmp_path / "k.jsonl", rows)

    result = train(replace(spec, method="kto", training_file=file), Notebook())

    assert share_of_the_better(base, result.adapter, write(tmp_path / "h", [pair(q) for q in QUESTIONS])) == 1.0


def test_preferences_repeat_to_the_last_bit_through_a_pause(spec, tmp_path):
    file = write(tmp_path / "d.jsonl", [pair(q) for q in QUESTIONS])
    spec = replace(spec, method="dpo", training_file=file, n_epochs=2)
    whole, parts = Notebook(), Notebook(stop_after=2)

    expected = train(replace(spec, work=tmp_path / "whole"), whole)
    assert train(spec, parts).stopped == "pause"
    parts.stop_after = None

    assert train(spec, parts).final_loss == expected.final_loss
    assert parts.steps == whole.steps


@pytest.mark.parametrize(
    ("reader", "row", "message"),
    [
        (read_judged, conversation("a", "b"), r"t.jsonl:1: label: is missing"),
        (read_judged, conversation("a", "b", label="yes"), r"label: is 'yes'"),
        (read_judged, {"messages": [{"role": "user", "content": "a"}], "label": True}, "must end with the assistant"),
        (read_pairs, conversation("a", "b"), r"input: is missing"),
        (read_pairs, {"input": {"messages": []}, "preferred_output": []}, r"non_preferred_output: is missing"),
    ],
)
def test_a_wrong_line_is_named_with_its_field(base, tmp_path, reader, row, message):
    with pytest.raises(DataError, match=message):
        reader(write(tmp_path / "t.jsonl", [row]), Chat.open(base), 256)


def test_only_the_last_reply_is_learnt_from_a_judged_conversation(base, tmp_path):
    messages = conversation("a", "first")["messages"] + conversation("b", "second")["messages"]
    chat = Chat.open(base)

    examples: Examples = read_judged(write(tmp_path / "t.jsonl", [{"messages": messages, "label": True}]), chat, 256)

    (tokens,) = examples[0]
    assert chat.decode([i for i, m in zip(tokens.ids, tokens.mask, strict=True) if m]).startswith("second")
    assert "first" in chat.decode(tokens.ids)
