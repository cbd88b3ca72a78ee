"""Jobs from a file to an adapter: they learn, they repeat to the last bit, and nothing that interrupts them shows."""

import json
import multiprocessing
import os
import random
import signal
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from tests.training.conftest import QUESTIONS, Notebook, conversation, write

from hypotez.errors import Conflict, DataError, JobFailed
from hypotez.nn.adapters import load_adapter
from hypotez.nn.attention import Packed
from hypotez.nn.load import load
from hypotez.text import Chat
from hypotez.training.job import Spec, train


@pytest.fixture
def spec(base, supervised_file, tmp_path) -> Spec:
    return Spec(
        base=str(base), training_file=supervised_file, work=tmp_path / "work", n_epochs=4, batch_size=3, seed=7, r=4,
        threads=1, prompt_dropout=0.0,
    )  # fmt: skip


def losses(notebook: Notebook) -> list[float]:
    return [notebook.steps[step].train_loss for step in sorted(notebook.steps)]


def test_loss_falls_and_the_adapter_answers(spec, base):
    notebook = Notebook()

    result = train(replace(spec, n_epochs=40, r=16), notebook)

    assert result.steps == 160
    assert result.final_loss < 0.1 < losses(notebook)[0]
    assert greedy(base, result.adapter, "milk") == "klim!"


def greedy(base, adapter, question: str) -> str:
    chat, decoder = Chat.open(base), load(base)
    load_adapter(decoder, 0, adapter)
    ids = chat.encode([{"role": "user", "content": question}], generate=True)
    start = len(ids)
    while len(ids) < start + 20:
        attend = Packed([len(ids)])
        with torch.no_grad():
            hidden = decoder(torch.tensor(ids), attend.positions(), attend, 0)
        token = int(decoder.logits(hidden[-1:]).argmax())
        if token in chat.eos_ids:
            break
        ids.append(token)
    return chat.decode(ids[start:])


def test_two_runs_of_one_seed_are_equal_and_another_seed_is_not(spec, tmp_path):
    first, second, third = Notebook(), Notebook(), Notebook()

    a = train(spec, first)
    b = train(replace(spec, work=tmp_path / "again"), second)
    train(replace(spec, work=tmp_path / "other", seed=8), third)

    assert losses(first) == losses(second) != losses(third)
    assert (a.adapter / "adapter_model.safetensors").read_bytes() == (
        b.adapter / "adapter_model.safetensors"
    ).read_bytes()


@pytest.mark.parametrize("stops", [[1], [4, 5], [3, 9, 15]])
def test_pausing_anywhere_changes_nothing(spec, tmp_path, stops):
    undisturbed, notebook = Notebook(), Notebook()
    expected = train(replace(spec, work=tmp_path / "undisturbed"), undisturbed)

    for stop in stops:
        notebook.stop_after = stop
        assert train(spec, notebook).stopped == "pause"
    notebook.stop_after = None
    result = train(spec, notebook)

    assert losses(notebook) == losses(undisturbed)
    assert result.final_loss == expected.final_loss
    assert result.trained_tokens == expected.trained_tokens
    assert adapters_equal(result, expected)


def adapters_equal(one, other) -> bool:
    first, second = (load_file(r.adapter / "adapter_model.safetensors") for r in (one, other))
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


class Doomed(Notebook):
    """Kills its own process, as ``kill -9`` does, after a step."""

    def __init__(self, path, die_at: int) -> None:
        super().__init__()
        self.path, self.die_at = path, die_at

    def metrics(self, told):
        with self.path.open("a") as file:
            file.write(json.dumps([told.step, told.train_loss]) + "\n")
        if told.step == self.die_at:
            os.kill(os.getpid(), signal.SIGKILL)


def _train_until(spec, path, die_at):
    torch.set_num_threads(1)
    train(spec, Doomed(path, die_at))


def test_kill_9_at_random_steps_changes_nothing(spec, tmp_path):
    undisturbed = Notebook()
    expected = train(replace(spec, work=tmp_path / "undisturbed"), undisturbed)
    seen = tmp_path / "seen.jsonl"
    spawn = multiprocessing.get_context("spawn")

    for die_at in sorted(random.Random(0).sample(range(1, 16), 3)):
        child = spawn.Process(target=_train_until, args=(replace(spec, save_every=0.0), seen, die_at))
        child.start()
        child.join()
        assert child.exitcode == -signal.SIGKILL
    result = train(spec, Doomed(seen, die_at=-1))

    heard = [tuple(json.loads(line)) for line in seen.read_text().splitlines()]
    assert dict(heard) == dict(enumerate(losses(undisturbed), 1))
    assert len(set(heard)) == len(dict(heard)), "a step that came twice had two losses"
    assert result.final_loss == expected.final_loss
    assert adapters_equal(result, expected)


def test_a_finished_job_called_again_returns_its_result(spec):
    first = train(spec, Notebook())
    notebook = Notebook()

    assert train(spec, notebook) == first
    assert notebook.steps == {}


def test_a_folder_of_another_job_is_refused(spec):
    train(spec, Notebook(stop_after=2))

    with pytest.raises(Conflict, match="another job"):
        train(replace(spec, seed=1), Notebook())


def test_every_epoch_is_a_checkpoint_and_the_last_three_stay(spec):
    notebook = Notebook()

    train(spec, notebook)

    assert list(notebook.checkpoints) == [4, 8, 12, 16]
    assert [folder.exists() for folder in notebook.checkpoints.values()] == [False, True, True, True]


def test_the_loss_before_the_first_step_is_that_of_the_untrained_model(spec, tmp_path):
    valid = write(tmp_path / "valid.jsonl", [conversation(q, q) for q in QUESTIONS[:5]])
    still, learning = Notebook(), Notebook()

    train(replace(spec, validation_file=valid, work=tmp_path / "still", learning_rate_multiplier=1e-9), still)
    train(replace(spec, validation_file=valid, work=tmp_path / "learning"), learning)

    assert still.told == learning.told == [{"step": 0, "full_valid_loss": still.told[0]["full_valid_loss"]}]
    assert still.told[0]["full_valid_loss"] == pytest.approx(still.steps[16].full_valid_loss, abs=1e-5)


def test_validation_is_reported_and_full_at_the_end_of_an_epoch(spec, tmp_path):
    valid = write(tmp_path / "valid.jsonl", [conversation(q, q) for q in QUESTIONS[:5]])
    notebook = Notebook()

    train(replace(spec, validation_file=valid), notebook)

    assert all(metrics.valid_loss is not None for metrics in notebook.steps.values())
    assert [step for step, metrics in notebook.steps.items() if metrics.full_valid_loss is not None] == [4, 8, 12, 16]


def test_early_stopping_keeps_the_best_epoch(spec, tmp_path):
    valid = write(tmp_path / "valid.jsonl", [conversation(q, f"never {i}") for i, q in enumerate(QUESTIONS)])
    notebook = Notebook()

    result = train(
        replace(spec, validation_file=valid, n_epochs=50, early_stopping=2, learning_rate_multiplier=3.0), notebook
    )

    full = {step: m.full_valid_loss for step, m in notebook.steps.items() if m.full_valid_loss is not None}
    best = min(full, key=lambda step: full[step])
    assert result.steps == best + 8
    kept = load_file(result.adapter / "adapter_model.safetensors")
    epoch = load_file(notebook.checkpoints[best] / "adapter_model.safetensors")
    assert all(torch.equal(kept[name], epoch[name]) for name in kept)


def test_gradient_accumulation_gives_the_gradient_of_the_whole_batch(spec, tmp_path, base):
    from hypotez.nn.lora import attach, initialise
    from hypotez.training.auto import Hyperparameters
    from hypotez.training.logps import Policy
    from hypotez.training.loop import Loop, Position
    from hypotez.training.methods import method
    from hypotez.training.optimizer import AdamW

    def weights_after(tokens_at_once: int) -> tuple[float, torch.Tensor]:
        decoder = load(base)
        attach(decoder, 2)
        initialise(decoder, 0, 2, 4, seed=0)
        how = method("supervised", 0.1)
        examples = how.read(spec.training_file, Chat.open(base), 256)
        optimizer = AdamW([p for p in decoder.parameters() if p.requires_grad])
        parameters = Hyperparameters(1, 6, 1.0, 1e-3, 0.1, 0.0, 0)
        loop = Loop(Policy(decoder, 0, None), how, optimizer, parameters, examples, None, tokens_at_once, Position())
        return [loop.step(), loop.step()][-1].train_loss, optimizer.flat

    whole, parts = weights_after(10_000), weights_after(40)

    assert whole[0] == pytest.approx(parts[0], rel=1e-5)
    torch.testing.assert_close(whole[1], parts[1], rtol=1e-3, atol=1e-5)


def test_start_adapter_is_where_the_next_job_begins(spec, tmp_path):
    first = train(spec, Notebook())
    notebook = Notebook()

    train(replace(spec, start_adapter=first.adapter, work=tmp_path / "next"), notebook)

    assert losses(notebook)[0] < first.final_loss * 1.5 < losses(notebook)[0] * 3


def test_long_examples_are_cut_and_empty_ones_left_out_with_a_word(spec, tmp_path):
    rows = [
        conversation("a", "x" * 400),
        conversation("q" * 400, "y"),
        conversation("b", "fine"),
    ]
    notebook = Notebook()

    train(replace(spec, training_file=write(tmp_path / "t.jsonl", rows), n_epochs=1), notebook)

    assert notebook.events == [
        "warn: 2 training example(s) were cut to the limit of 256 tokens",
        "warn: 1 training example(s) have no reply to learn and were left out",
    ]


def test_a_loss_that_is_no_number_ends_the_job_with_the_cure(spec):
    with pytest.raises(JobFailed, match=r"lower learning_rate_multiplier"):
        train(replace(spec, learning_rate_multiplier=1e30), Notebook())


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nonsense", r"train.jsonl:2: is not JSON"),
        ("[1]", r"train.jsonl:2: is not a JSON object"),
        ('{"prompt": 1}', r"train.jsonl:2: messages: is missing"),
    ],
)
def test_a_broken_line_is_named(spec, line, message):
    spec.training_file.write_text(json.dumps(conversation("a", "b")) + "\n" + line + "\n")

    with pytest.raises(DataError, match=message):
        train(spec, Notebook())


def test_full_fine_tuning_gives_a_whole_model(spec, base):
    notebook = Notebook()

    result = train(replace(spec, full=True, n_epochs=30, learning_rate_multiplier=2.0), notebook)

    assert result.final_loss < 0.5 < losses(notebook)[0]
    assert Chat.open(result.adapter).eos_ids == Chat.open(base).eos_ids
    before, after = load(base), load(result.adapter)
    assert not torch.equal(before.embed_tokens.weight, after.embed_tokens.weight)


def test_full_fine_tuning_goes_on_from_an_adapter_and_repeats(spec, tmp_path):
    adapter = train(spec, Notebook()).adapter
    full = replace(spec, full=True, start_adapter=adapter, work=tmp_path / "full", learning_rate_multiplier=0.1)
    whole, parts = Notebook(), Notebook(stop_after=5)

    train(replace(full, work=tmp_path / "whole"), whole)
    train(full, parts)
    parts.stop_after = None
    train(full, parts)

    assert losses(whole) == losses(parts)
    assert losses(whole)[0] < 3.0


def test_smaller_parts_come_to_the_same_losses_and_go_on_from_a_state_of_larger_ones(base, supervised_file, tmp_path):
    whole, begun, rest = Notebook(), Notebook(stop_after=3), Notebook()
    spec = Spec(str(base), supervised_file, tmp_path / "whole", n_epochs=4, batch_size=6, seed=1, threads=1)
    train(spec, whole)

    apart = replace(spec, work=tmp_path / "apart")
    train(apart, begun)
    train(replace(apart, parts=64), rest)

    assert min(rest.steps) == 4
    together = {step: one.train_loss for step, one in (begun.steps | rest.steps).items()}
    assert together == pytest.approx({step: one.train_loss for step, one in whole.steps.items()}, rel=1e-4)
