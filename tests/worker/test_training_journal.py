"""What a training process writes, told twice as after a kill: one event per step, three checkpoints, one model."""

from pathlib import Path

import pytest
from tests.worker.stored import children, journal_of, queued, retrieved

from hypotez.progress import StepMetrics
from hypotez.worker import job_events, job_states
from hypotez.worker.training_journal import ClaimLost, TrainingJournal, claim


def models(store) -> set[str]:
    with store.read() as tx:
        return {model.id for model in tx.documents.page("model", limit=100).items}


def train(journal: TrainingJournal, folder: Path, *, epochs: int = 4, steps: int = 2) -> None:
    """What ``training.job.train`` does with a journal."""
    journal.begin()
    journal.hyperparameters({"n_epochs": epochs, "batch_size": 1, "learning_rate_multiplier": 1.8})
    for step in range(1, epochs * steps + 1):
        told = StepMetrics(step, epochs * steps, train_loss=2 / step, train_accuracy=0.5)
        journal.metrics(told)
        if step % steps == 0:
            draft = folder / f"epoch-{step}"
            draft.mkdir(parents=True, exist_ok=True)
            (draft / "adapter_model.safetensors").write_text(str(step))
            journal.checkpoint(draft, told)


@pytest.mark.parametrize("times", [1, 2], ids=["undisturbed", "repeated after a kill"])
def test_the_whole_life_of_a_job(store, tmp_path, times):
    job = queued(store)
    journal = journal_of(store, tmp_path, job)

    for _ in range(times):
        train(journal, tmp_path / "work")
    journal.succeed(tmp_path / "work" / "epoch-8", 1234)

    ended = retrieved(store, job).body
    name = ended["fine_tuned_model"]
    assert name.startswith("ft:pocket:personal:shop:")
    assert (ended["status"], ended["trained_tokens"], ended["error"]) == ("succeeded", 1234, None)
    assert ended["hyperparameters"] == {"n_epochs": 4, "batch_size": 1, "learning_rate_multiplier": 1.8}
    kept = children(store, "fine_tuning.job.checkpoint", job)
    assert [checkpoint["step_number"] for checkpoint in kept] == [4, 6, 8]
    assert kept[-1]["fine_tuned_model_checkpoint"] == name
    assert models(store) == {checkpoint["fine_tuned_model_checkpoint"] for checkpoint in kept}
    named = [checkpoint["fine_tuned_model_checkpoint"] for checkpoint in kept[:-1]]
    assert all(one.endswith(f":ckpt-step-{step}") for one, step in zip(named, (4, 6), strict=True))
    folders = sorted(path.name for path in (tmp_path / "models").iterdir())
    assert folders == sorted(model.replace(":", "_") for model in models(store))
    messages = [event["message"] for event in children(store, job_events.KIND, job)]
    assert messages[0] == "Fine-tuning job started"
    assert messages[1] == "Step 1/8: training loss=2.00"
    assert [m for m in messages if m.startswith("Checkpoint")] == [
        f"Checkpoint created at step {step} with Snapshot ID: {text.rpartition(' ')[2]}"
        for step, text in zip((2, 4, 6), [m for m in messages if m.startswith("Checkpoint")], strict=True)
    ]
    assert messages[-2:] == [f"New fine-tuned model created: {name}", "The job has successfully completed"]
    assert len(messages) == len(set(messages)) == 1 + 8 + 3 + 2


def test_the_result_file_has_openais_columns(store, tmp_path):
    job = queued(store)
    journal = journal_of(store, tmp_path, job)
    journal.begin()
    journal.metrics(StepMetrics(1, 2, 1.5, 0.25))
    journal.metrics(StepMetrics(2, 2, 1.25, 0.5, valid_loss=1.75, valid_accuracy=0.125, full_valid_loss=1.0))
    (tmp_path / "adapter").mkdir()

    journal.succeed(tmp_path / "adapter", 10)

    (file,) = retrieved(store, job).body["result_files"]
    assert store.blobs.open(file).read_text() == (
        "step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy\n"
        "1,1.50000,0.25000,,\n"
        "2,1.25000,0.50000,1.75000,0.12500\n"
    )
    event = children(store, job_events.KIND, job)[2]
    assert event["message"] == "Step 2/2: training loss=1.25, validation loss=1.75, full validation loss=1.00"
    assert event["type"] == "metrics"
    assert "full_valid_mean_token_accuracy" not in event["data"]


def test_a_cancelled_job_is_seen_at_the_next_step_and_stays_cancelled(store, tmp_path):
    job = queued(store)
    journal = journal_of(store, tmp_path, job)
    journal.begin()
    with store.write() as tx:
        job_states.cancel(tx, job.id, "default")

    assert journal.wanted() == "cancel"
    journal.succeed(tmp_path, 1)
    journal.fail("too late", "server_error")
    assert retrieved(store, job).status == "cancelled"
    assert models(store) == set()


def test_pausing_ends_in_paused_unless_it_was_resumed_meanwhile(store, tmp_path):
    job = queued(store)
    journal = journal_of(store, tmp_path, job)
    journal.begin()
    with store.write() as tx:
        assert job_states.pause(tx, job.id, "default").status == "pausing"
    assert journal.wanted() == "pause"
    with store.write() as tx:
        assert job_states.resume(tx, job.id, "default").status == "running"

    assert not journal.paused()
    assert journal.wanted() == "run"


def test_a_process_that_is_asked_to_go_gives_its_job_back(store, tmp_path):
    job = queued(store)
    journal = journal_of(store, tmp_path, job)
    journal.begin()
    journal.leaving.set()

    assert journal.wanted() == "pause"
    assert journal.paused()
    assert retrieved(store, job).status == "running"
    assert claim(store, job.id, "another", concurrency=1, silence=15) is not None


def test_a_process_whose_job_was_taken_stops(store, tmp_path):
    job = queued(store)
    journal = journal_of(store, tmp_path, job)
    beating = journal.keep_alive(0.01)
    with store.write() as tx:
        (item,) = tx.work.waiting(job_states.WORK)
        assert tx.work.take(item, "another")

    beating.join(60)
    with pytest.raises(ClaimLost):
        journal.wanted()


def test_only_as_many_train_as_are_allowed(store):
    first, second = queued(store), queued(store)

    assert claim(store, first.id, "a", concurrency=1, silence=15) is not None
    assert claim(store, second.id, "b", concurrency=1, silence=15) is None
    assert claim(store, first.id, "b", concurrency=1, silence=15) is None
    assert claim(store, second.id, "b", concurrency=2, silence=15) is not None
