"""Reinforcement with the official SDK over a socket, in real processes on a tiny model: rewarded, killed, finished."""

import csv
import io
import json
import signal
import time

import psutil
import pytest
from tests.serving import serve_for_test
from tests.spec import conforms
from tests.tiny import model_folder

from hypotez.server import files, fine_tuning, models
from hypotez.worker import job_states
from hypotez.worker.training import Room, Supervisor

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

LONG = {
    "type": "python",
    "name": "long",
    "source": "def grade(sample, item):\n    return len(sample['output_text']) / 99",
}
EVEN = {"type": "string_check", "name": "even", "operation": "ilike", "input": "{{ sample.output_text }}",
        "reference": "{{ item.letter }}"}  # fmt: skip
BOTH = {"type": "multi", "name": "both", "graders": {"long": LONG, "even": EVEN}, "calculate_output": "long + even / 2"}
METHOD = {
    "type": "reinforcement",
    "reinforcement": {
        "grader": BOTH,
        "hyperparameters": {"n_epochs": 3, "batch_size": 4, "compute_multiplier": 0.5, "reasoning_effort": "low"},
    },
}
ROWS = [{"messages": [{"role": "user", "content": f"q {n}"}], "letter": "aeiou"[n % 5]} for n in range(12)]


@pytest.fixture
def place(tmp_path):
    base = model_folder(tmp_path / "tiny", context=64)
    routers = [files.router, fine_tuning.router, models.router]
    with serve_for_test(tmp_path, routers=routers, bases={"tiny": str(base)}) as server:
        supervisor = Supervisor(server.store, Room(tmp_path, f"sqlite:///{tmp_path / 'hypotez.db'}", silence=8.0))
        yield server, supervisor
        for child, _ in supervisor._started.values():
            child.kill()
            child.wait()


def upload(client) -> str:
    content = "\n".join(map(json.dumps, ROWS)).encode()
    return client.files.create(file=("p.jsonl", io.BytesIO(content)), purpose="fine-tune").id


def until(place, id: str, step: int = 99):
    """Tick until the job has ended, or has come to a step."""
    server, supervisor = place
    end = time.monotonic() + 500
    while time.monotonic() < end:
        supervisor.tick()
        with server.store.read() as tx:
            job = tx.documents.get(job_states.KIND, id)
            owners = [item.owner for item in tx.work.waiting(job_states.WORK) if item.target == id]
        if job.status in job_states.ENDED or job.private.get("step", 0) >= step:
            return owners[0] if owners else None
        time.sleep(0.05)
    raise AssertionError(f"{id} is {job.status}")


def data(client, id: str) -> list[dict]:
    events = client.fine_tuning.jobs.list_events(id, limit=100).data
    return [event.data for event in reversed(events) if event.type == "metrics"]


def test_a_job_is_rewarded_killed_and_ends_as_if_undisturbed(place):
    client = place[0].client
    order = {"model": "tiny", "method": METHOD, "seed": 3}
    jobs = [
        client.fine_tuning.jobs.create(**order, training_file=upload(client), validation_file=upload(client)).id
        for _ in range(2)
    ]

    until(place, jobs[0])
    owner = until(place, jobs[1], step=4)
    if owner:
        psutil.Process(int(owner.split("/")[1])).send_signal(signal.SIGKILL)
    until(place, jobs[1])

    undisturbed, killed = (client.fine_tuning.jobs.retrieve(id) for id in jobs)
    assert [undisturbed.status, killed.status] == ["succeeded", "succeeded"], killed.error
    first, second = (data(client, id) for id in jobs)
    keys = ("step", "train_loss", "train_mean_reward", "full_valid_mean_reward", "completion_tokens_mean")
    assert [[step.get(key) for key in keys] for step in first] == [[step.get(key) for key in keys] for step in second]
    assert [step["step"] for step in first] == list(range(1, 10))
    assert {one["name"] for one in first[0]["scores"]["graders"]} == {"long", "even"}
    assert first[-1]["full_valid_mean_reward"] == first[-1]["scores"]["valid_reward_mean"]
    messages = [event.message for event in client.fine_tuning.jobs.list_events(jobs[1], limit=100).data]
    assert len(messages) == len(set(messages))
    assert any(text.startswith("Step 9/9 , train mean reward=") for text in messages)
    assert any(text.startswith("Mean reward on the validation file before training: ") for text in messages)
    resolved = killed.method.reinforcement.hyperparameters
    assert (resolved.n_epochs, resolved.eval_interval, resolved.eval_samples) == (3, 1, 1)
    assert killed.method.reinforcement.grader.calculate_output == "long + even / 2"
    rows = list(csv.DictReader(io.StringIO(client.files.content(killed.result_files[0]).text)))
    assert [int(row["step"]) for row in rows] == list(range(1, 10))
    assert float(rows[-1]["full_valid_mean_reward"]) == pytest.approx(first[-1]["full_valid_mean_reward"], abs=1e-5)
    checkpoints = client.fine_tuning.jobs.checkpoints.list(jobs[1])
    assert checkpoints.data[0].metrics.model_dump()["valid_reward_mean"] > 0
    conforms("ListFineTuningJobCheckpointsResponse", checkpoints)
    conforms("ListFineTuningJobEventsResponse", client.fine_tuning.jobs.list_events(jobs[1], limit=100))
