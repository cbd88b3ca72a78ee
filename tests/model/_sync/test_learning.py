"""Training, jobs and learning from dialogues, against the fake server."""

import json
from pathlib import Path

import pytest
from tests.model.fake_server import FakeServer

from hypotez import OpenAIModel
from hypotez.errors import DataError, InvalidRequest, JobFailed, NotFound
from hypotez.settings import Settings

pytestmark = pytest.mark.anyio

CSV = "вопрос,ответ\n" + "".join(f"Вопрос {i}?,Ответ {i}\n" for i in range(12))


def opened(server: FakeServer, settings: Settings, **options) -> OpenAIModel:
    return OpenAIModel(base_url=server.base_url, settings=settings, **options)


def uploaded(server: FakeServer, number: int = 1) -> list[dict]:
    return [json.loads(line) for line in server.files[f"file-{number}"].splitlines()]


def test_csv_text_becomes_a_job(server: FakeServer, settings: Settings):
    with opened(server, settings, system_instruction="Be kind.") as model:
        job_id = model.train(CSV)

        assert job_id == model.current_job_id == "ftjob-1"
    assert server.created[0]["model"] == "gpt-4o-mini"
    assert server.jobs[0]["method"] == {"type": "supervised", "supervised": {}}
    assert len(uploaded(server)) == 12
    assert uploaded(server)[0] == {
        "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "Вопрос 0?"},
            {"role": "assistant", "content": "Ответ 0"},
        ]
    }


def test_every_option_reaches_the_job(server: FakeServer, settings: Settings, tmp_path: Path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "d.csv").write_text(CSV, "utf-8")
    (tmp_path / "v.csv").write_text("question,answer\na,b\n")
    with opened(server, settings) as model:
        model.train(
            data_dir=tmp_path / "data",
            positive=False,
            validation=tmp_path / "v.csv",
            suffix="shop",
            n_epochs=2,
            batch_size="auto",
            learning_rate_multiplier=0.5,
            seed=0,
        )

    job = server.jobs[0]
    assert job["method"] == {
        "type": "kto",
        "kto": {"hyperparameters": {"n_epochs": 2, "learning_rate_multiplier": 0.5}},
    }
    assert (job["suffix"], job["seed"]) == ("shop", 0)
    assert (job["training_file"], job["validation_file"]) == ("file-1", "file-2")
    assert {line["label"] for line in uploaded(server)} == {False}
    assert len(uploaded(server, 2)) == 1


def test_a_dry_run_sends_no_data(server: FakeServer, settings: Settings):
    with opened(server, settings) as model:
        forecast = model.train(CSV, dry_run=True)

    assert (forecast.n_examples, forecast.n_epochs, forecast.method) == (12, 8, "supervised")
    assert forecast.trained_tokens == 8 * forecast.n_tokens
    assert forecast.seconds > 0  # measured: no job has run yet
    assert forecast.memory > 4 * 1_000_000
    assert server.files == {}
    assert str(forecast).startswith("12 examples (supervised), about ")


def test_a_forecast_takes_the_speed_of_an_earlier_job(server: FakeServer, settings: Settings):
    with opened(server, settings) as model:
        model.train(CSV, wait=True, progress=False)
        forecast = model.train(CSV, dry_run=True)

    assert forecast.seconds == 4 + forecast.trained_tokens / (500 / 6)  # 500 tokens in 10 seconds, 4 of them to start


def test_bad_data_costs_nothing_and_lists_every_row(server: FakeServer, settings: Settings):
    with opened(server, settings) as model, pytest.raises(DataError) as caught:
        model.train("question,answer\na,\nb,\nc,d\n")

    assert [(fault.line, fault.field) for fault in caught.value.faults] == [(2, "answer"), (3, "answer")]
    assert server.requests == []
    assert model.current_job_id is None


def test_an_unknown_method_is_refused(server: FakeServer, settings: Settings):
    refusal = pytest.raises(InvalidRequest, match="method is one of supervised, dpo, kto, reinforcement, not 'ppo'")
    with opened(server, settings) as model, refusal:
        model.train(CSV, method="ppo")


GRADER = {
    "type": "string_check",
    "name": "right",
    "operation": "ilike",
    "input": "{{ sample.output_text }}",
    "reference": "{{ item.ответ }}",
}


def test_a_grader_makes_it_reinforcement_and_the_other_columns_are_its_items(server: FakeServer, settings: Settings):
    with opened(server, settings, system_instruction="Be kind.") as model:
        model.train(CSV, grader=GRADER, n_epochs=2)

    assert server.jobs[0]["method"] == {
        "type": "reinforcement",
        "reinforcement": {"grader": GRADER, "hyperparameters": {"n_epochs": 2}},
    }
    assert uploaded(server)[0] == {
        "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Вопрос 0?"}],
        "ответ": "Ответ 0",
    }


def test_prompts_that_are_made_already_keep_what_the_grader_reads(
    server: FakeServer, settings: Settings, tmp_path: Path
):
    rows = [{"messages": [{"role": "user", "content": f"{n}?"}], "answer": n, "unit": {"of": "kg"}} for n in range(12)]
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with opened(server, settings) as model:
        forecast = model.train(data_file=tmp_path / "prompts.jsonl", grader=GRADER, dry_run=True)
        model.train(data_file=tmp_path / "prompts.jsonl", method="reinforcement", grader=GRADER)

    assert uploaded(server) == rows
    assert (forecast.method, forecast.warnings, forecast.seconds) == ("reinforcement", (), None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "reinforcement"}, "needs a grader"),
        ({"method": "dpo", "grader": GRADER}, "is for method='reinforcement', not 'dpo'"),
        ({"positive": False, "grader": GRADER}, "positive=False has no place"),
        ({"grader": "string_check"}, "grader must be a dictionary"),
    ],
    ids=["no grader", "another method", "negative", "no dictionary"],
)
def test_reinforcement_and_its_grader_belong_together(
    server: FakeServer, settings: Settings, options: dict, message: str
):
    with opened(server, settings) as model, pytest.raises(InvalidRequest, match=message):
        model.train(CSV, **options)

    assert server.requests == []


def test_waiting_follows_the_job_to_its_end(server: FakeServer, settings: Settings, capsys: pytest.CaptureFixture):
    with opened(server, settings) as model:
        model.train(CSV)
        before = model.job()
        job = model.wait(poll_seconds=0.01)

    assert before.status == "running"
    assert job.status == "succeeded"
    assert job.fine_tuned_model == "ft:pocket:1"
    assert (job.step, job.total_steps, job.train_loss, job.valid_loss) == (3, 3, 1.0, 1.5)
    assert job.progress == 1.0
    assert job.events[-1] == "Step 3/3: training loss=1.00"
    assert "loss 1.000" in capsys.readouterr().err
    assert model.model == "gpt-4o-mini"


def test_a_failed_job_is_an_error_with_its_reason(server: FakeServer, settings: Settings):
    server.outcome = "failed"
    failure = pytest.raises(JobFailed, match="Fine-tuning job ftjob-1 ended as failed: the disk is full")
    with opened(server, settings) as model, failure as caught:
        model.train(CSV, wait=True, progress=False)

    assert caught.value.job.id == "ftjob-1"


def test_a_job_can_be_cancelled(server: FakeServer, settings: Settings):
    with opened(server, settings) as model:
        model.train(CSV)
        assert (model.cancel()).status == "cancelled"


def test_without_a_job_its_helpers_say_so(server: FakeServer, settings: Settings):
    with opened(server, settings) as model:
        for helper in (model.job, model.wait, model.cancel):
            with pytest.raises(NotFound, match="No job was started by this model; pass its id"):
                helper()


def test_job_ids_are_saved_in_the_data_folder(server: FakeServer, settings: Settings):
    model = opened(server, settings)

    path = model.save_job_id("ftjob-1", "первый")
    model.save_job_id("ftjob-2", "second")

    assert path == settings.home / "job_ids.json"
    saved = json.loads(path.read_text("utf-8"))
    assert [(job["id"], job["description"]) for job in saved] == [("ftjob-1", "первый"), ("ftjob-2", "second")]
    assert set(saved[0]) == {"id", "description", "created"}


def test_marks_are_saved_and_wrong_ones_refused(server: FakeServer, settings: Settings):
    with opened(server, settings) as model:
        model.ask("hello")
        model.mark(-1, "negative", better="Good day.")

        assert json.loads(model.dialogue_log_path.read_text("utf-8"))[-1]["better"] == "Good day."
        model.mark(1, "positive")
        assert "better" not in model.dialogue[-1]
        for arguments, message in [
            ((5, "positive"), "There is no entry 5: the dialogue has 2."),
            ((0, "positive"), "Entry 0 is from the user; mark an answer."),
            ((1, "great"), "A mark is one of positive, negative, neutral, exclude, not 'great'."),
        ]:
            with pytest.raises(InvalidRequest) as caught:
                model.mark(*arguments)
            assert str(caught.value) == message


def test_with_nothing_said_there_is_nothing_to_learn(
    server: FakeServer, settings: Settings, caplog: pytest.LogCaptureFixture
):
    with opened(server, settings) as model:
        assert model.dynamic_train() is None

    assert "There is nothing to learn from: no dialogue has an answer yet." in caplog.text
    assert server.jobs == []


def test_dialogues_are_learnt_from_and_few_are_repeated(server: FakeServer, settings: Settings):
    with opened(server, settings, system_instruction="Be kind.") as model:
        model.ask("a")
        model.ask("b")
        model.dynamic_train()

    assert server.jobs[0]["method"]["type"] == "supervised"
    assert len(uploaded(server)) == 10
    assert uploaded(server)[:2] == [
        {
            "messages": [
                {"role": "system", "content": "Be kind."},
                {"role": "user", "content": question},
                {"role": "assistant", "content": f"gpt-4o-mini heard: {question}"},
            ]
        }
        for question in "ab"
    ]


def test_a_correction_makes_a_pair(server: FakeServer, settings: Settings):
    with opened(server, settings) as model:
        model.ask("a")
        model.mark(1, "negative", better="A!")
        model.dynamic_train()

    assert server.jobs[0]["method"]["type"] == "dpo"
    assert uploaded(server)[0] == {
        "input": {"messages": [{"role": "user", "content": "a"}]},
        "preferred_output": [{"role": "assistant", "content": "A!"}],
        "non_preferred_output": [{"role": "assistant", "content": "gpt-4o-mini heard: a"}],
    }


def test_saved_dialogues_under_both_spellings_are_read_and_patterns_leave_out(server: FakeServer, settings: Settings):
    settings.dialogues.mkdir(parents=True)
    for folder, name in [
        (settings.dialogues, "old.json"),
        (settings.home, "dialogue.json"),
        (settings.home, "dailogue.json"),
    ]:
        said = [{"role": "user", "content": name}, {"role": "assistant", "content": "yes"}]
        (folder / name).write_text(json.dumps(said))
    (settings.dialogues / "broken.json").write_text("[{")
    with opened(server, settings) as model:
        model.dynamic_train()
        model.dynamic_train(exclude=["old*"])
        model.dynamic_train(dialogues=[settings.home / "dialogue.json"])

    asked = [{line["messages"][0]["content"] for line in uploaded(server, n)} for n in (1, 2, 3)]
    assert asked == [
        {"old.json", "dialogue.json", "dailogue.json"},
        {"dialogue.json", "dailogue.json"},
        {"dialogue.json"},
    ]


def talks(settings: Settings, number: int) -> None:
    settings.dialogues.mkdir(parents=True)
    for i in range(number):
        said = [{"role": "user", "content": f"q{i}"}, {"role": "assistant", "content": f"a{i}"}]
        (settings.dialogues / f"{i}.json").write_text(json.dumps(said))


def test_the_tuned_model_is_used_when_it_is_better_on_held_out_dialogues(server: FakeServer, settings: Settings):
    talks(settings, 20)
    with opened(server, settings) as model:
        model.dynamic_train(wait=True, progress=False)

        assert model.model == "ft:pocket:1"
    trial = model.last_trial
    assert (trial.loss_before, trial.loss_after) == (3.5, 1.5)
    assert len(trial.answers) == 2
    held_out = {each.question for each in trial.answers}
    assert held_out.isdisjoint(line["messages"][0]["content"] for line in uploaded(server, 1))
    assert held_out == {line["messages"][0]["content"] for line in uploaded(server, 2)}
    assert trial.answers[0].old.startswith("gpt-4o-mini heard: q")
    assert trial.answers[0].new.startswith("ft:pocket:1 heard: q")
    assert "is better: it is used from here on" in str(trial)


def test_the_old_model_stays_when_the_tuned_one_is_not_better(server: FakeServer, settings: Settings):
    talks(settings, 20)
    server.losses = [1.0, 2.0, 3.0]
    with opened(server, settings) as model:
        model.dynamic_train(wait=True, progress=False)

        assert model.model == "gpt-4o-mini"
    assert "is not better: the old model stays" in str(model.last_trial)
