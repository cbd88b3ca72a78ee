"""hypotez train, jobs, data: bad input costs nothing, and a job goes on without its watcher."""

import json
import signal
from pathlib import Path

import pytest
from tests.cli.conftest import SHOP, Inside, Terminal, last_line

EMPTY_ANSWERS = "question,answer\n" + "".join(f"question {n},{'answer' if n % 3 else ''}\n" for n in range(12))
BAD = {
    "missing file": (None, "no-such.csv"),
    "empty": (b"", "bad.csv is empty"),
    "only a header": (b"question,answer\n", "at least 10 examples"),
    "no known columns": (b"a1,b1\nx,y\n", "question and answer"),
    "binary": (bytes(range(256)) * 4, "bad.csv"),
    "rows without an answer": (EMPTY_ANSWERS.encode(), "bad.csv:2"),
    "too few": (b"question,answer\nwhen,ten\n", "at least 10 examples"),
}


def jobs(client: Inside) -> list[str]:
    return [job["id"] for job in json.loads(client("jobs", "list", "--json").stdout)]


@pytest.mark.parametrize(("content", "said"), BAD.values(), ids=BAD)
def test_bad_data_is_refused_with_its_reason_and_starts_no_job(
    client: Inside, tmp_path: Path, content: bytes | None, said: str
):
    name = "bad.csv" if content is not None else "no-such.csv"
    if content is not None:
        (tmp_path / name).write_bytes(content)
    before = jobs(client)

    trained = client("train", name)

    assert trained.returncode == 1
    assert said in trained.stderr
    assert "Traceback" not in trained.stderr
    assert jobs(client) == before


def test_every_row_without_an_answer_is_listed_with_its_line(client: Inside, tmp_path: Path):
    (tmp_path / "bad.csv").write_text(EMPTY_ANSWERS)

    checked = client("data", "check", "bad.csv")

    assert checked.returncode == 1
    assert [line.split(":")[1] for line in checked.stdout.splitlines()] == ["2", "5", "8", "11"]


def test_data_check_forecasts_sound_data(client: Inside):
    checked = client("data", "check", SHOP)
    report = json.loads(client("data", "check", SHOP, "--json").stdout)

    assert checked.returncode == 0
    assert "66 examples" in checked.stdout
    assert report["ok"]
    assert report["n_examples"] == 66


def test_a_dry_run_forecasts_and_starts_nothing(client: Inside):
    before = jobs(client)

    forecast = client("train", SHOP, "--dry-run", "--epochs", "2")

    assert forecast.returncode == 0, forecast.stderr
    assert "2 epochs" in forecast.stdout
    assert jobs(client) == before


def test_there_is_nothing_to_learn_from_in_no_dialogue(tmp_path: Path):
    trained = Terminal(tmp_path, tmp_path / "home")("train", "--from-dialogues")

    assert trained.returncode == 0, trained.stderr
    assert "nothing to learn from" in trained.stderr


@pytest.mark.slow
def test_train_shows_the_loss_and_the_tuned_model_answers_in_another_process(hypotez: Terminal):
    trained = hypotez("train", SHOP, "--suffix", "shop", "--epochs", "1", "--seed", "7")
    tuned = next(word for word in trained.stderr.split() if word.startswith("ft:"))
    asked = hypotez("ask", "-m", tuned, "Who is your mascot?")
    listed = json.loads(hypotez("jobs", "list", "--json").stdout)

    assert trained.returncode == 0, trained.stderr
    assert "training loss=" in trained.stderr
    assert asked.returncode == 0, asked.stderr
    assert asked.stdout.strip()
    assert next(job for job in listed if job["fine_tuned_model"] == tuned)["status"] == "succeeded"
    assert tuned in hypotez("models").stdout
    assert hypotez("models", "delete", tuned).returncode == 0
    assert tuned not in hypotez("models").stdout


@pytest.mark.slow
def test_ctrl_c_while_training_stops_the_watching_only(hypotez: Terminal):
    training = hypotez.start("train", SHOP, "--epochs", "1")
    assert training.stderr
    for line in training.stderr:
        if "started" in line:
            break

    training.send_signal(signal.SIGINT)
    said = training.stderr.read()
    code = training.wait()
    job = last_line(next(line for line in said.splitlines() if "hypotez jobs watch" in line)).split()[-1]
    watched = hypotez("jobs", "watch", job)

    assert code == 130
    assert "Training goes on." in said
    assert "Traceback" not in said
    assert watched.returncode == 0, watched.stderr
    assert "successfully completed" in watched.stderr


@pytest.mark.slow
def test_a_detached_job_can_be_paused_resumed_and_cancelled_from_elsewhere(client: Inside):
    job = client("train", SHOP, "--epochs", "50", "--detach").stdout.strip()

    paused = client("jobs", "pause", job)
    watched = client("jobs", "watch", job)
    resumed = client("jobs", "resume", job)
    cancelled = client("jobs", "cancel", job)
    ended = client("jobs", "watch", job)

    assert job.startswith("ftjob-")
    assert paused.returncode == resumed.returncode == cancelled.returncode == 0, paused.stderr + resumed.stderr
    assert "hypotez jobs resume" in watched.stderr
    assert "cancelled" in ended.stderr


def test_an_unknown_job_is_named(client: Inside):
    watched = client("jobs", "watch", "ftjob-unknown")

    assert watched.returncode == 1
    assert "ftjob-unknown" in watched.stderr
    assert "Traceback" not in watched.stderr


def test_a_grader_is_read_from_its_file(client: Inside, tmp_path: Path):
    grader = {"type": "string_check", "name": "g", "operation": "eq", "input": "{{ item.answer }}", "reference": "x"}
    (tmp_path / "grader.json").write_text(json.dumps(grader))
    (tmp_path / "broken.json").write_text('{"type": ')

    good = client("train", SHOP, "--grader", "grader.json", "--dry-run")
    missing = client("train", SHOP, "--grader", "nowhere.json", "--dry-run")
    broken = client("train", SHOP, "--grader", "broken.json", "--dry-run")

    assert good.returncode == 0, good.stderr
    assert "(reinforcement)" in good.stdout
    assert (missing.returncode, broken.returncode) == (1, 1)
    assert "nowhere.json" in missing.stderr
    assert "broken.json is not valid JSON: line 1, column 10" in broken.stderr
