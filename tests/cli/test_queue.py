"""The queue of a server as it runs at a user's: real training processes, its settings, its end and its next start."""

import json
import subprocess
import time
from pathlib import Path

import pytest
from openai import OpenAI
from tests.cli.conftest import Terminal, address

ROWS = [
    {"messages": [{"role": "user", "content": f"q {n}"}, {"role": "assistant", "content": f"a {n}"}]} for n in range(20)
]


def served(terminal: Terminal) -> "tuple[subprocess.Popen[str], OpenAI]":
    serving = terminal.start("serve", "--port", "0")
    return serving, OpenAI(base_url=address(serving), api_key="none", max_retries=0)


def end(serving: "subprocess.Popen[str]") -> None:
    serving.terminate()
    serving.communicate()


def settled(client: OpenAI, ids: list[str]) -> list[tuple[str, str | None]]:
    """Status and reason of each job once two train, or after a while all the same."""
    until = time.monotonic() + 240
    while True:
        jobs = [client.fine_tuning.jobs.retrieve(id).model_dump() for id in ids]
        states = [(job["status"], (job.get("queue") or {}).get("reason")) for job in jobs]
        if [status for status, _ in states].count("running") >= 2 or time.monotonic() > until:
            return states
        time.sleep(0.2)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_jobs_train_at_once_and_the_third_waits_through_a_restart(tmp_path: Path):
    terminal = Terminal(tmp_path, tmp_path / "home", {"HYPOTEZ_TRAINING__CONCURRENCY": "2"})
    serving, client = served(terminal)
    try:
        content = "\n".join(map(json.dumps, ROWS)).encode()
        file = client.files.create(file=("t.jsonl", content), purpose="fine-tune").id
        numbers = {"n_epochs": 50, "batch_size": 1}
        ids = [
            client.fine_tuning.jobs.create(model="pocket", training_file=file, hyperparameters=numbers).id
            for _ in range(3)
        ]
        before = settled(client, ids)
        end(serving)
        serving, client = served(terminal)
        after = settled(client, ids)
        events = client.fine_tuning.jobs.list_events(ids[2]).data
        for id in reversed(ids):
            client.fine_tuning.jobs.cancel(id)
    finally:
        end(serving)

    assert before == after == [("running", None), ("running", None), ("queued", "Waiting for 2 jobs ahead")]
    assert [event.message for event in events].count("Waiting for 2 jobs ahead") == 1
