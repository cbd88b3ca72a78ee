"""Reinforcement from a file to an adapter: it learns what is rewarded, the same every time, through interruptions."""

import json
from dataclasses import replace

import pytest
from safetensors.torch import load_file
from tests.training.conftest import QUESTIONS, Notebook, write

from hypotez.engine.groups import GroupSampler
from hypotez.errors import DataError, InvalidRequest, JobFailed
from hypotez.text import Chat
from hypotez.training.exploration import Drawn, Reinforcement, Reward
from hypotez.training.job import Spec, train


class Sampler:
    """The real engine's groups; a grader sees the reply's bytes."""

    def __init__(self, decoder, slot, base):
        self.groups = GroupSampler(decoder, Chat.open(base), slot, {"max_completion_tokens": 6})

    def draw(self, rows, dice, count, weights):
        return [
            [
                Drawn(s.tokens[: s.prompt_length], s.output, one.logps, {"text": one.text, "ids": s.output})
                for one in group
                for s in [one.sequence]
            ]
            for group in self.groups.write(rows, dice, count, weights)
        ]


def even(pairs):
    """More for every token of an even number."""
    return [Reward(sum(i % 2 == 0 for i in sample["ids"]) / 6, parts={"even": 0.0}) for sample, _ in pairs]


def means(base, rewards=even):
    return Reinforcement(lambda decoder, slot: Sampler(decoder, slot, base), rewards)


@pytest.fixture
def prompts(tmp_path):
    return write(tmp_path / "p.jsonl", [{"messages": [{"role": "user", "content": q}], "n": q} for q in QUESTIONS])


@pytest.fixture
def spec(base, prompts, tmp_path):
    return Spec(
        str(base), prompts, tmp_path / "work", "reinforcement", prompts, n_epochs=4, batch_size=4, seed=5, r=4,
        learning_rate_multiplier=2.0, threads=1, save_every=0.0,
    )  # fmt: skip


def weights(result):
    return load_file(result.adapter / "adapter_model.safetensors")


def test_what_is_rewarded_becomes_likelier(spec, base):
    notebook = Notebook()

    result = train(spec, notebook, means(base))

    told = [step.rewards for step in notebook.steps.values()]
    assert result.steps == 12
    before = float(notebook.events[0].rpartition(": ")[2])
    assert notebook.events[0].startswith("info: Mean reward on the validation file before training")
    assert told[-1]["valid"]["reward_mean"] > before + 0.15
    assert told[-1]["train"]["kl_mean"] > 0
    assert told[-1]["valid"]["graders"] == {"even": 0.0}
    assert [step for step, one in enumerate(told, 1) if "valid" in one] == list(range(1, 13))  # a tenth of 12 is 1
    assert notebook.resolved["compute_multiplier"] == 1.0
    assert notebook.resolved["beta"] == 0.04


def test_an_interrupted_training_goes_on_as_if_it_had_not_been(spec, base, tmp_path):
    undisturbed, notebook = Notebook(), Notebook()
    whole = train(replace(spec, work=tmp_path / "whole"), undisturbed, means(base))

    for stop in (2, 5, 9):
        notebook.stop_after = stop
        assert train(spec, notebook, means(base)).stopped == "pause"
    notebook.stop_after = None
    pieced = train(spec, notebook, means(base))

    assert [step.train_loss for step in notebook.steps.values()] == [
        step.train_loss for step in undisturbed.steps.values()
    ]
    assert all((tensor == weights(whole)[name]).all() for name, tensor in weights(pieced).items())


def test_another_compute_multiplier_draws_larger_groups(spec, base):
    seen = []

    def count(pairs):
        seen.append(len(pairs))
        return even(pairs)

    train(replace(spec, n_epochs=1, compute_multiplier=0.5, validation_file=None), Notebook(), means(base, count))

    assert seen == [16, 16, 16]  # four prompts, half of eight replies to each


def test_training_stops_early_when_the_reward_does_not_grow(spec, base):
    def same(pairs):
        return [Reward(0.5) for _ in pairs]

    result = train(replace(spec, early_stopping=2, n_epochs=10), Notebook(), means(base, same))

    assert result.steps == 9  # the first epoch is the best, and two more are not better


def test_the_weights_themselves_can_be_reinforced(spec, base):
    result = train(replace(spec, full=True, n_epochs=1), Notebook(), means(base))

    assert (result.adapter / "model.safetensors").exists()


def test_a_grader_that_always_fails_ends_the_job_in_its_words(spec, base):
    def broken(pairs):
        return [Reward(0.0, {"python_grader_runtime_error": "KeyError: 'answer'"}) for _ in pairs]

    with pytest.raises(JobFailed, match="every reply of step 1: KeyError: 'answer'"):
        train(replace(spec, validation_file=None), Notebook(), means(base, broken))


def test_a_file_that_holds_replies_is_no_file_of_prompts(spec, base, tmp_path):
    rows = [{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}]
    path = write(tmp_path / "r.jsonl", rows)

    with pytest.raises(DataError, match="must end with the message that is to be answered"):
        train(replace(spec, training_file=path), Notebook(), means(base))


def test_without_a_grader_the_method_says_what_is_missing(spec):
    with pytest.raises(InvalidRequest, match="sampler and a grader"):
        train(spec, Notebook())


def test_a_state_is_kept_as_json(spec, base):
    notebook = Notebook(stop_after=1)
    train(spec, notebook, means(base))

    (state,) = spec.work.glob("state-*/state.json")
    assert json.loads(state.read_text())["position"]["last"]["rewards"]["train"]["samples"] == 32
