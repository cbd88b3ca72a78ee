"""The whole server: inside this process, and on its own as a program."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import openai
import pytest
from tests.tiny import model_folder

from hypotez import embedded
from hypotez.embedded.alone import is_loopback
from hypotez.errors import ServerError, SettingsError
from hypotez.settings import Settings, Upstream

HELLO = [{"role": "user", "content": "hello"}]
SERVE = """
import sys
from hypotez import embedded
from hypotez.settings import Settings
host, port, home, model = sys.argv[1:]
settings = Settings(home=home, server={"host": host, "port": int(port)}, engine={"model": model})
embedded.serve(settings, ready=lambda url: print(url, flush=True))
print("gone in order", flush=True)
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    return model_folder(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def settings(tmp_path, tiny, monkeypatch) -> Settings:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "HYPOTEZ_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    return Settings(home=tmp_path / "home", engine={"model": str(tiny)}, training={"threads": 1})


def client_of(server, **more) -> openai.OpenAI:
    return openai.OpenAI(base_url=server.base_url, api_key=server.api_key, max_retries=0, **more)


def test_it_answers_with_the_local_model_and_asks_for_its_key(settings):
    server = embedded.start(settings)
    try:
        completion = client_of(server).chat.completions.create(model="gpt-4o-mini", messages=HELLO, max_tokens=4)
        with pytest.raises(openai.AuthenticationError):
            openai.OpenAI(base_url=server.base_url, api_key="wrong", max_retries=0).models.list()
    finally:
        server.close()

    assert completion.model == "tiny"
    assert completion.usage.completion_tokens <= 4
    with pytest.raises(openai.APIConnectionError):
        client_of(server).models.list()


def test_one_server_per_home_until_the_last_has_closed(settings, tmp_path):
    first, second = embedded.start(settings), embedded.start(settings)
    elsewhere = embedded.start(settings.model_copy(update={"home": tmp_path / "other"}))
    first.close()
    first.close()

    still = client_of(second).models.list()
    second.close()
    elsewhere.close()

    assert first.base_url == second.base_url != elsewhere.base_url
    assert "tiny" in {model.id for model in still}
    with pytest.raises(openai.APIConnectionError):
        client_of(second).models.list()


def test_an_upstream_given_comes_first(settings):
    server = embedded.start(settings, upstream=Upstream(base_url="http://127.0.0.1:9/v1", models=["gpt-*"]))
    try:
        with pytest.raises(openai.APIStatusError, match="cannot be reached"):
            client_of(server).chat.completions.create(model="gpt-4o-mini", messages=HELLO)
    finally:
        server.close()


def test_threads_that_start_at_once_share_one(settings):
    servers = []
    threads = [threading.Thread(target=lambda: servers.append(embedded.start(settings))) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    urls = {server.base_url for server in servers}
    [server.close() for server in servers]

    assert len(urls) == 1


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_job_outlives_the_server_that_made_it_and_its_model_answers(settings):
    rows = [
        {"messages": [{"role": "user", "content": f"q{n}"}, {"role": "assistant", "content": f"a{n}"}]}
        for n in range(12)
    ]
    content = "\n".join(json.dumps(row) for row in rows).encode()
    server = embedded.start(settings)
    client = client_of(server)
    file = client.files.create(file=("t.jsonl", io.BytesIO(content)), purpose="fine-tune")
    valid = client.files.create(file=("v.jsonl", io.BytesIO(content)), purpose="fine-tune")
    job = client.fine_tuning.jobs.create(
        model="tiny", training_file=file.id, validation_file=valid.id, suffix="shop", seed=1,
        hyperparameters={"n_epochs": 2, "batch_size": 6},
    )  # fmt: skip
    server.close()  # at once: nothing has been checked yet

    server = embedded.start(settings)
    try:
        client = client_of(server)
        until = time.monotonic() + 500
        while client.fine_tuning.jobs.retrieve(job.id).status not in ("succeeded", "failed"):
            assert time.monotonic() < until
            time.sleep(0.2)
        ended = client.fine_tuning.jobs.retrieve(job.id)
        events = [event.message for event in client.fine_tuning.jobs.list_events(job.id)][::-1]
        said = client.chat.completions.create(model=ended.fine_tuned_model, messages=HELLO, max_tokens=3)
        steps = [m for m in events if m.startswith("Step")]
        checkpoint = client.fine_tuning.jobs.checkpoints.list(job.id).data[1].fine_tuned_model_checkpoint
        by_name = client.chat.completions.create(model=checkpoint, messages=HELLO, max_tokens=3)
    finally:
        server.close()

    assert ended.status == "succeeded", ended.error
    assert said.model == ended.fine_tuned_model
    assert by_name.model == checkpoint
    assert [step.partition(":")[0] for step in steps] == [f"Step {n}/4" for n in (1, 2, 3, 4)]
    assert "full validation loss=" in steps[1]
    (before,) = [message for message in events if message.startswith("Loss on the validation file before training: ")]
    assert events.index(before) + 1 == events.index(steps[0])
    assert [message for message in events if message not in (before, *steps)] == [
        f"Created fine-tuning job: {job.id}",
        f"Validating training file: {file.id} and validation file: {valid.id}",
        "Files validated, moving job to queued state",
        "Fine-tuning job started",
        f"Checkpoint created at step 2 with Snapshot ID: {checkpoint}",
        f"New fine-tuned model created: {ended.fine_tuned_model}",
        "The job has successfully completed",
    ]


def program(tmp_path, tiny, host="127.0.0.1", port=0) -> subprocess.Popen:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI_", "HYPOTEZ_"))}
    arguments = [sys.executable, "-c", SERVE, host, str(port), str(tmp_path / "home"), str(tiny)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_the_program_tells_its_address_and_leaves_in_order(tmp_path, tiny, number):
    server = program(tmp_path, tiny)
    url = server.stdout.readline().strip()
    listed = openai.OpenAI(base_url=url, api_key="any", max_retries=0).models.list()

    server.send_signal(number)
    out, err = server.communicate(timeout=100)

    assert (server.returncode, out) == (0, "gone in order\n"), err
    assert "tiny" in {model.id for model in listed}


def test_a_port_in_use_is_a_sentence(settings):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        busy = settings.model_copy(update={"server": settings.server.model_copy(update={"port": port})})

        with pytest.raises(ServerError, match=f"Port {port} on 127.0.0.1 is in use"):
            embedded.serve(busy)


def test_off_loopback_a_key_is_required(settings):
    open_door = settings.model_copy(
        update={"server": settings.server.model_copy(update={"host": "0.0.0.0", "port": 0})}
    )

    with pytest.raises(SettingsError, match="HYPOTEZ_API_KEY"):
        embedded.serve(open_door)


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.3.2.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("", False)],
)
def test_loopback_is_known(host, expected):
    assert is_loopback(host) is expected


@pytest.mark.skipif(sys.platform != "linux", reason="torch brings GNU's OpenMP on Linux only")
def test_the_engines_threads_wait_awake_for_a_moment_only(tmp_path):
    env = {**os.environ, "HYPOTEZ_HOME": str(tmp_path), "OMP_DISPLAY_ENV": "verbose"}
    command = [sys.executable, "-m", "hypotez", "ask", "Hello"]

    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)

    assert done.returncode == 0, done.stderr
    assert "GOMP_SPINCOUNT = '5000'" in done.stderr
