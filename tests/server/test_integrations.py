"""Jobs that tell their metrics to others: what is asked for and answered on the wire, what is refused, what arrives.

The parts that need them are skipped without the packages: ``pip install 'hypotez[tracking]'``.
"""

import io
import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from tests.serving import serve_for_test
from tests.spec import conforms
from tests.tiny import model_folder

from hypotez.errors import InvalidRequest
from hypotez.progress import StepMetrics
from hypotez.server import files, fine_tuning
from hypotez.worker.tracking import EventFiles, Followed, check_installed, flat
from hypotez.worker.training import Room, Supervisor
from hypotez.worker.weights_and_biases import offline_because

ROUTERS = [fine_tuning.router, files.router]
WANDB = {"type": "wandb", "wandb": {"project": "shop", "name": "first", "tags": ["mine"]}}
BOARD = {"type": "tensorboard", "tensorboard": {"name": "first"}}


@pytest.fixture
def server(tmp_path):
    base = model_folder(tmp_path / "tiny")
    with serve_for_test(tmp_path / "home", routers=ROUTERS, bases={"tiny": str(base)}) as running:
        yield running


def create(client: openai.OpenAI, **more):
    rows = [
        {"messages": [{"role": "user", "content": f"q {n}"}, {"role": "assistant", "content": f"a {n}"}]}
        for n in range(12)
    ]
    content = io.BytesIO("\n".join(map(json.dumps, rows)).encode())
    file = client.files.create(file=("train.jsonl", content), purpose="fine-tune").id
    return client.fine_tuning.jobs.create(model="tiny", training_file=file, seed=1, **more)


def records(path: Path) -> Iterator:
    """The records of a run that is kept on disk: LevelDB's log (7 bytes before each piece, blocks of 32 KiB)."""
    from wandb.proto import wandb_internal_pb2

    content, at, whole = path.read_bytes(), 7, b""
    while at + 7 <= len(content):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        _, length, kind = struct.unpack("<IHB", content[at : at + 7])
        whole += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last piece
            record = wandb_internal_pb2.Record()
            record.ParseFromString(whole)
            yield record
            whole = b""


def test_a_job_is_followed_by_tensorboard_and_by_weights_and_biases(server, monkeypatch):
    pytest.importorskip("wandb")
    accumulating = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", "/nowhere")
    home, client = server.services.home, server.client
    supervisor = Supervisor(server.store, Room(home, f"sqlite:///{home / 'hypotez.db'}"))

    job = create(client, integrations=[WANDB, BOARD], hyperparameters={"n_epochs": 2, "batch_size": 4})
    supervisor.start()
    deadline = time.monotonic() + 100
    while (job := client.fine_tuning.jobs.retrieve(job.id)).status not in ("succeeded", "failed"):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    supervisor.close()

    told = client.fine_tuning.jobs.list_events(job.id, limit=100).data
    losses = {e.data["step"]: e.data["train_loss"] for e in told if e.type == "metrics"}
    assert job.status == "succeeded", job.error
    assert sorted(losses) == [1, 2, 3, 4, 5, 6]
    board = accumulating.EventAccumulator(str(home / "tensorboard" / "first"))
    board.Reload()
    assert {s.step: s.value for s in board.Scalars("train/loss")} == pytest.approx(losses)
    [run] = (home / "wandb").glob(f"offline-run-*/run-{job.id}.wandb")
    kept = list(records(run))
    history = [{"/".join(i.nested_key) or i.key: json.loads(i.value_json) for i in r.history.item}
               for r in kept if r.WhichOneof("record_type") == "history"]  # fmt: skip
    assert {row["_step"]: row["train/loss"] for row in history} == pytest.approx(losses)
    [named] = [r.run for r in kept if r.WhichOneof("record_type") == "run"][:1]
    assert (named.project, named.display_name) == ("shop", "first")
    assert {"mine", "hypotez/finetune", job.id} <= set(named.tags)
    messages = [event.message for event in told]
    assert f"TensorBoard: metrics go in {home}/tensorboard/first; show them: tensorboard --logdir" in " ".join(messages)
    assert "offline: there is no WANDB_API_KEY); send them later: wandb sync" in " ".join(messages)


def test_the_job_shows_what_was_asked_for(server):
    pytest.importorskip("wandb")

    job = create(server.client, integrations=[WANDB])

    [shown] = job.to_dict()["integrations"]
    assert shown == {"type": "wandb", "wandb": {"project": "shop", "name": "first", "entity": None, "tags": ["mine"]}}
    assert job.integrations[0].wandb.project == "shop"
    conforms("FineTuningJob", server.client.fine_tuning.jobs.retrieve(job.id).to_dict())


def test_a_package_that_is_missing_is_named_with_its_cure():
    with pytest.raises(InvalidRequest) as caught:
        check_installed(["json", "surely_absent"])

    assert caught.value.status == 400
    assert caught.value.param == "integrations[1].type"
    assert "pip install 'hypotez[tracking]'" in caught.value.message


@pytest.mark.parametrize(
    ("integration", "param", "text"),
    [
        ({"type": "clearml"}, "integrations[0].type", "Supported values are: 'wandb', 'tensorboard'"),
        ({"type": "wandb"}, "integrations[0].wandb", "Missing required parameter: 'integrations[0].wandb'"),
        ({"type": "wandb", "wandb": {}}, "integrations[0].wandb.project", "Missing required parameter"),
        (
            {"type": "wandb", "wandb": {"project": "p", "tags": "one"}},
            "integrations[0].wandb.tags",
            "expected an array",
        ),
    ],
)
def test_what_is_no_integration_is_refused(integration, param, text, server):
    with pytest.raises(openai.BadRequestError) as caught:
        create(server.client, integrations=[integration])

    assert caught.value.param == param
    assert text in caught.value.message


class Diary:
    """A journal that remembers its events."""

    def __init__(self):
        self.events, self.steps = [], []

    def event(self, message, level="info", data=None):
        self.events.append((level, message))

    def hyperparameters(self, resolved): ...

    def metrics(self, told):
        self.steps.append(told.step)

    def checkpoint(self, folder, told): ...

    def wanted(self):
        return "run"


class Breaks:
    """A tracker whose server goes away at the second step."""

    name = "Elsewhere"

    def __init__(self):
        self.got, self.closed = [], False

    def open(self):
        return "elsewhere"

    def hyperparameters(self, resolved): ...

    def metrics(self, step, numbers):
        if step == 2:
            raise ConnectionError("gone")
        self.got.append(numbers)

    def close(self, failed):
        self.closed = True


def test_a_tracker_that_fails_is_dropped_and_training_goes_on():
    diary, tracker = Diary(), Breaks()
    journal = Followed(diary, [tracker])

    for step in (1, 2, 3):
        journal.metrics(StepMetrics(step, 3, train_loss=0.5, train_accuracy=1.0))
    journal.close(False)

    assert diary.steps == [1, 2, 3]
    assert tracker.got == [{"train/loss": 0.5, "train/accuracy": 1.0}]
    assert not tracker.closed
    assert diary.events == [
        ("info", "Elsewhere: metrics go elsewhere"),
        ("warn", "Elsewhere gets no more metrics: ConnectionError: gone"),
    ]


def test_steps_told_again_after_a_kill_count_once(tmp_path):
    accumulating = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")

    for first, loss in ((1, 1.0), (3, 3.0)):  # killed after step 4, gone on from the state after step 2
        files = EventFiles(tmp_path / "job")
        files.open()
        for step in range(first, first + 4):
            files.metrics(step, {"train/loss": loss})
        files.close(False)
        time.sleep(1.1)  # a file's name has the second in it

    board = accumulating.EventAccumulator(str(tmp_path / "job"))
    board.Reload()
    assert [(s.step, s.value) for s in board.Scalars("train/loss")] == [(1, 1), (2, 1), (3, 3), (4, 3), (5, 3), (6, 3)]


def test_names_are_grouped_and_dictionaries_opened():
    numbers = {"train_loss": 1, "full_valid_loss": 0.5, "valid_loss": None, "rewards": {"mean": 0.25, "by": {"a_b": 1}}}

    assert flat(numbers) == {"train/loss": 1.0, "full_valid/loss": 0.5, "rewards/mean": 0.25, "rewards/by/a/b": 1.0}


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        ({"WANDB_MODE": "offline", "WANDB_API_KEY": "k"}, "WANDB_MODE is offline"),
        ({}, "there is no WANDB_API_KEY"),
        ({"WANDB_API_KEY": "k", "WANDB_BASE_URL": "http://127.0.0.1:1"}, "127.0.0.1 cannot be reached"),
    ],
)
def test_why_a_run_is_offline_is_said(environment, why, monkeypatch):
    monkeypatch.setenv("NETRC", "/nowhere")

    assert why in offline_because(environment)


def test_a_server_that_answers_is_used(server):
    address = server.base_url.removesuffix("/v1")

    assert offline_because({"WANDB_API_KEY": "k", "WANDB_BASE_URL": address}) == ""
