"""Fine-tuning jobs on the wire: what creation refuses, how files are checked, every move. Nothing trains here
(``tests/worker/test_training.py`` trains)."""

import time

import openai
import pytest
from tests.server.shop import ROWS, example, shop_at
from tests.spec import conforms

TUNED = "ft:scripted:personal:shop:abcd1234"

SAME = {"type": "string_check", "name": "same", "operation": "eq", "input": "{{ sample.output_text }}",
        "reference": "{{ item.answer }}"}  # fmt: skip


def reinforced(grader: dict, **hyperparameters) -> dict:
    return {"type": "reinforcement", "reinforcement": {"grader": grader, "hyperparameters": hyperparameters}}


def prompt(n: int, **more) -> dict:
    return {"messages": [{"role": "user", "content": f"question {n}"}], "answer": f"answer {n}", **more}


@pytest.fixture
def shop(tmp_path):
    with shop_at(tmp_path) as shop:
        yield shop


def test_a_new_job_is_as_openai_shows_it(shop):
    job = shop.create(suffix="My shop!", seed=7, metadata={"team": "sales"}, hyperparameters={"n_epochs": 3})

    assert (job.object, job.status, job.seed, job.model) == ("fine_tuning.job", "validating_files", 7, "scripted")
    assert (job.hyperparameters.n_epochs, job.hyperparameters.batch_size) == (3, "auto")
    assert (job.method.type, job.method.supervised.hyperparameters.n_epochs) == ("supervised", 3)
    assert (job.result_files, job.fine_tuned_model, job.finished_at, job.error) == ([], None, None, None)
    assert job.organization_id.startswith("org-")
    conforms("FineTuningJob", job)


def test_the_first_events_in_their_order(shop):
    job = shop.create(validation_file=shop.upload(ROWS[:2]))
    shop.supervisor.tick()

    assert shop.messages(job.id) == [
        f"Created fine-tuning job: {job.id}",
        f"Validating training file: {job.training_file} and validation file: {job.validation_file}",
        "Files validated, moving job to queued state",
    ]
    assert shop.jobs.retrieve(job.id).status == "queued"
    conforms("ListFineTuningJobEventsResponse", shop.jobs.list_events(job.id))


def test_a_seed_is_drawn_and_told(shop):
    assert len({shop.create().seed for _ in range(3)}) == 3


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"suffix": ""}, "suffix"),
        ({"suffix": "x" * 65}, "suffix"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**31}, "seed"),
        ({"hyperparameters": {"n_epochs": 0}}, "hyperparameters.n_epochs"),
        ({"hyperparameters": {"n_epochs": 51}}, "hyperparameters.n_epochs"),
        ({"hyperparameters": {"n_epochs": "many"}}, "hyperparameters.n_epochs"),
        ({"hyperparameters": {"batch_size": 257}}, "hyperparameters.batch_size"),
        ({"hyperparameters": {"learning_rate_multiplier": 0}}, "hyperparameters.learning_rate_multiplier"),
        ({"hyperparameters": {"speed": 1}}, "hyperparameters.speed"),
        ({"method": {"type": "prayer"}}, "method.type"),
        ({"method": {"type": "reinforcement"}}, "method.reinforcement"),
        ({"method": reinforced({**SAME, "operation": "is"})}, "method.reinforcement.grader.operation"),
        (
            {"method": reinforced(SAME, compute_multiplier=11)},
            "method.reinforcement.hyperparameters.compute_multiplier",
        ),
        ({"method": reinforced(SAME, eval_interval=0)}, "method.reinforcement.hyperparameters.eval_interval"),
        (
            {"method": reinforced(SAME, reasoning_effort="huge")},
            "method.reinforcement.hyperparameters.reasoning_effort",
        ),
        ({"method": {"type": "dpo", "dpo": {"hyperparameters": {"beta": 2.5}}}}, "method.dpo.hyperparameters.beta"),
        ({"method": {"type": "dpo", "dpo": {"hyperparameters": {"beta": 0}}}}, "method.dpo.hyperparameters.beta"),
        ({"integrations": [{"type": "wandb", "wandb": {"project": "p"}}] * 6}, "integrations"),
        ({"integrations": [{"type": "wandb", "wandb": {}}]}, "integrations[0].wandb.project"),
        ({"metadata": {str(n): "" for n in range(17)}}, "metadata"),
        ({"training_file": "file-nobody"}, "training_file"),
        ({"validation_file": "file-nobody"}, "validation_file"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_creation_refuses(shop, given, param):
    with pytest.raises(openai.BadRequestError) as caught:
        shop.create(**given)

    assert caught.value.param == param
    assert shop.jobs.list().data == []


def test_a_model_that_cannot_be_trained(shop):
    with pytest.raises(openai.BadRequestError) as caught:
        shop.create(model="gpt-9")

    assert caught.value.body == {
        "message": "Model gpt-9 is not available for fine-tuning or does not exist.",
        "type": "invalid_request_error",
        "param": None,
        "code": "model_not_available",
    }


def test_a_file_of_another_purpose_is_refused(shop):
    file = shop.upload(purpose="assistants")

    with pytest.raises(openai.BadRequestError, match="must have purpose 'fine-tune'"):
        shop.jobs.create(model="scripted", training_file=file)


def test_retired_names_train_the_default_model(shop):
    assert shop.create(model="gpt-4o-mini-2024-07-18").model == "scripted"


@pytest.mark.parametrize(
    ("method", "given", "kept"),
    [
        ("dpo", {"beta": 0.3, "n_epochs": 2}, {"beta": 0.3, "n_epochs": 2, "batch_size": "auto"}),
        ("kto", {"beta": "auto"}, {"beta": "auto", "n_epochs": "auto", "sft_weight": "auto"}),
        ("kto", {"sft_weight": 0}, {"sft_weight": 0}),
    ],
)
def test_preference_methods_keep_their_hyperparameters(shop, method, given, kept):
    job = shop.create(extra_body={"method": {"type": method, method: {"hyperparameters": given}}})

    shown = job.model_dump()["method"]
    assert shown["type"] == method
    assert kept.items() <= shown[method]["hyperparameters"].items()


@pytest.mark.parametrize(
    ("rows", "code", "text"),
    [
        (ROWS[:7], "invalid_n_examples", "Training file has 7 example(s), but must have at least 10 examples"),
        (
            [*ROWS, {"messages": [{"role": "user", "content": "x"}, {"content": "y"}]}],
            "invalid_training_file",
            "The job failed due to an invalid training file. Invalid file format. "
            "Example 13, message 2 Discriminator 'role' is missing in value",
        ),
        (
            [{"text": "x"}] * 10,
            "invalid_training_file",
            "The job failed due to an invalid training file. Invalid file format. "
            "Unexpected file format, expected either prompt/completion pairs or chat messages.",
        ),
    ],
    ids=["too few", "role", "format"],
)
def test_bad_data_fails_after_creation_with_openais_words_and_the_full_list(shop, rows, code, text):
    job = shop.checked(rows)

    assert (job.status, job.error.code, job.error.message, job.error.param) == ("failed", code, text, "training_file")
    assert job.finished_at is not None
    last = shop.jobs.list_events(job.id).data[0]
    assert (last.level, last.message) == ("error", text)
    assert shop.client.files.content(job.result_files[0]).text.startswith("file,line,field,message\nfile-")
    conforms("FineTuningJob", job)


def test_a_file_in_another_methods_format(shop):
    job = shop.checked(extra_body={"method": {"type": "dpo"}})

    assert "is in the fine-tune-chat format" in job.error.message
    assert "(provided method=dpo)" in job.error.message


def test_a_file_deleted_before_the_check_fails_the_job(shop):
    job = shop.create()
    shop.client.files.delete(job.training_file)

    shop.supervisor.tick()

    assert shop.jobs.retrieve(job.id).error.message == f"No such File object: {job.training_file}"


def test_a_file_deleted_after_the_check_does_not_matter(shop):
    job = shop.checked()
    shop.client.files.delete(job.training_file)

    assert (shop.home / "jobs" / job.id / "training_file.jsonl").exists()


def test_jobs_are_listed_newest_first_and_by_metadata(shop):
    first, second, third = (shop.create(metadata={"team": team}) for team in ("a", "b", "a"))

    assert [job.id for job in shop.jobs.list()] == [third.id, second.id, first.id]
    assert [job.id for job in shop.jobs.list(limit=1)] == [third.id, second.id, first.id]
    assert [job.id for job in shop.jobs.list(metadata={"team": "a"})] == [third.id, first.id]
    assert [job.id for job in shop.jobs.list(after=second.id)] == [first.id]
    conforms("ListPaginatedFineTuningJobsResponse", shop.jobs.list())


def test_events_are_paged_without_loss(shop):
    job = shop.checked()

    assert [event.message for event in shop.jobs.list_events(job.id, limit=1)] == shop.messages(job.id)[::-1]


def test_cancel_pause_and_resume_before_training(shop):
    job = shop.create()
    paused = shop.jobs.pause(job.id)
    shop.supervisor.tick()
    still = shop.jobs.retrieve(job.id)
    resumed = shop.jobs.resume(job.id)
    shop.supervisor.tick()
    queued = shop.jobs.retrieve(job.id)
    cancelled = shop.jobs.cancel(job.id)

    assert [paused.status, still.status, resumed.status] == ["paused", "paused", "validating_files"]
    assert [queued.status, cancelled.status] == ["queued", "cancelled"]
    assert cancelled.finished_at is not None
    with server_read(shop) as tx:
        assert tx.work.waiting("job") == []


def server_read(shop):
    return shop.server.store.read()


@pytest.mark.parametrize("verb", ["cancel", "pause", "resume"])
def test_an_ended_job_does_not_move(shop, verb):
    job = shop.create()
    shop.jobs.cancel(job.id)

    with pytest.raises(openai.BadRequestError, match="has already been cancelled"):
        getattr(shop.jobs, verb)(job.id)


@pytest.mark.parametrize("verb", ["retrieve", "cancel", "pause", "resume", "list_events"])
def test_an_unknown_job_and_anothers_job_are_404(shop, verb):
    mine = shop.create()
    shop.come_as("other", project="other")

    for id in ("ftjob-nobody", mine.id):
        with pytest.raises(openai.NotFoundError) as caught:
            getattr(shop.jobs, verb)(id)
        assert caught.value.body["message"] == f"Could not find fine tune: {id}"


def test_a_retried_creation_is_one_job(shop):
    file = shop.upload()
    made = [
        shop.jobs.create(model="scripted", training_file=file, extra_headers={"Idempotency-Key": "k"}).id
        for _ in range(2)
    ]

    assert made[0] == made[1]
    assert len(shop.jobs.list().data) == 1


def add_tuned(shop, project="default"):
    body = {"id": TUNED, "object": "model", "created": int(time.time()), "owned_by": "user", "shutdown_date": None}
    private = {"root": "scripted", "folder": "/nowhere", "path": str(shop.home / "models" / "x"), "full": False}
    with shop.server.store.write() as tx:
        tx.documents.create("model", body, project=project, private=private)


def test_a_tuned_model_is_the_base_of_the_next_job(shop):
    add_tuned(shop)

    job = shop.create(model=TUNED)

    with shop.server.store.read() as tx:
        private = tx.documents.get("fine_tuning.job", job.id).private
    assert job.model == TUNED
    assert (private["folder"], private["start_adapter"]) == ("/nowhere", str(shop.home / "models" / "x"))
    assert private["name"].startswith("ft:scripted:personal::")


def test_permissions_let_another_project_use_a_model(tmp_path):
    with shop_at(tmp_path, api_key="sk-admin") as shop:
        add_tuned(shop)
        permissions = shop.client.fine_tuning.checkpoints.permissions
        shop.come_as("other", project="other")
        other = shop.client
        with pytest.raises(openai.NotFoundError):
            other.models.retrieve(TUNED)

        (made,) = permissions.create(TUNED, project_ids=["other"])
        seen = other.models.retrieve(TUNED)
        listed = permissions.list(TUNED)
        with pytest.raises(openai.PermissionDeniedError):
            other.fine_tuning.checkpoints.permissions.create(TUNED, project_ids=["third"])
        deleted = permissions.delete(made.id, fine_tuned_model_checkpoint=TUNED)
        with pytest.raises(openai.NotFoundError):
            other.models.retrieve(TUNED)

    assert (seen.id, made.project_id, deleted.deleted) == (TUNED, "other", True)
    assert [permission.id for permission in listed.data] == [made.id]
    conforms("ListFineTuningCheckpointPermissionResponse", listed)
    conforms("DeleteFineTuningCheckpointPermissionResponse", deleted)


def test_a_job_of_reinforcement_shows_its_grader_and_every_hyperparameter(shop):
    method = reinforced(SAME, n_epochs=2, eval_interval=3)
    method["reinforcement"]["response_format"] = {"type": "json_object"}

    job = shop.checked([prompt(n) for n in range(12)], method=method)

    shown = job.method.reinforcement
    assert (job.status, job.method.type, shown.grader.operation) == ("queued", "reinforcement", "eq")
    assert shown.hyperparameters.model_dump(exclude_unset=True) == {
        "n_epochs": 2, "batch_size": "auto", "learning_rate_multiplier": "auto", "beta": "auto",
        "compute_multiplier": "auto", "eval_interval": 3, "eval_samples": "auto", "reasoning_effort": "default",
    }  # fmt: skip
    conforms("FineTuningJob", job)


@pytest.mark.parametrize(
    ("grader", "says"),
    [
        ({**SAME, "reference": "{{ answer }}"}, "{{ answer }}"),
        ({"type": "python", "name": "p", "source": "def grade(sample:"}, "SyntaxError"),
        ({"type": "multi", "name": "m", "graders": {"a": SAME}, "calculate_output": "b"}, "no grader 'b'"),
    ],
    ids=["template", "python", "formula"],
)
def test_a_grader_that_could_never_grade_is_refused_at_once(shop, grader, says):
    with pytest.raises(openai.BadRequestError, match="Invalid") as caught:
        shop.create([prompt(n) for n in range(12)], method=reinforced(grader))

    assert says in caught.value.message
    assert shop.jobs.list().data == []


def test_prompts_must_end_with_the_user_and_have_what_the_grader_reads(shop):
    rows = [*(prompt(n) for n in range(10)), example(10), {"messages": [{"role": "user", "content": "q"}]}]

    job = shop.checked(rows, method=reinforced(SAME))

    assert (job.status, job.error.code) == ("failed", "invalid_training_file")
    assert job.error.message.endswith("Example 11, the last message must be from the user")
    report = shop.client.files.content(job.result_files[0]).text
    assert '"messages","the last message must be from the user"' in report
    assert report.count("answer is missing, and the grader reads it as item.answer") == 2
