"""Training files to token ids, and prompts with words left out."""

from dataclasses import replace

import pytest
from tests.training.conftest import Notebook, conversation, write

from hypotez.text import Chat
from hypotez.training.examples import Thinned, read_conversations
from hypotez.training.job import Spec, train


@pytest.fixture
def examples(base, tmp_path):
    rows = [conversation("what a long question this is", "short"), conversation("and another one", "yes")]
    return read_conversations(write(tmp_path / "t.jsonl", rows), Chat.open(base), 256)


def test_thinned_prompts_lose_words_and_nothing_else(examples, base):
    marks = frozenset(Chat.open(base).tokenizer.get_added_tokens_decoder())
    (whole,), (thin,) = examples[0], Thinned(examples, 0.5, 1, marks)[0]

    assert 0.2 < len(thin.ids) / len(whole.ids) < 0.9
    assert [i for i, m in zip(thin.ids, thin.mask, strict=True) if m] == [
        i for i, m in zip(whole.ids, whole.mask, strict=True) if m
    ]
    assert [i for i in thin.ids if i in marks] == [i for i in whole.ids if i in marks]


def test_thinning_repeats_with_its_seed_and_differs_between_seeds(examples):
    def seen(seed):
        return Thinned(examples, 0.3, seed, ())[0]

    assert seen(1) == seen(1)
    assert seen(1) != seen(2)


def test_a_thinned_job_repeats_to_the_last_bit_through_a_pause(base, supervised_file, tmp_path):
    spec = Spec(str(base), supervised_file, tmp_path / "a", n_epochs=2, batch_size=3, threads=1, prompt_dropout=0.3)
    whole, parts, full = Notebook(), Notebook(stop_after=3), Notebook()

    train(spec, whole)
    assert train(replace(spec, work=tmp_path / "b"), parts).stopped == "pause"
    parts.stop_after = None
    train(replace(spec, work=tmp_path / "b"), parts)
    train(replace(spec, work=tmp_path / "c", prompt_dropout=0.0), full)

    assert parts.steps == whole.steps
    assert parts.steps != full.steps


def test_functions_of_the_older_spelling_are_read_as_tools(base, tmp_path):
    class Listening:
        def train_example(self, messages, tools=None):
            self.tools = tools
            return [1, 2], [False, True]

    chat = Listening()

    read_conversations(write(tmp_path / "t.jsonl", [conversation("a", "b", functions=[{"name": "f"}])]), chat, 256)

    assert chat.tools == [{"type": "function", "function": {"name": "f"}}]
