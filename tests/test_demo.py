"""The guided tour: its judge is honest, its questions were never trained on, and the whole of it works."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hypotez.demo import Question, examples, held_out, is_right, share


@pytest.mark.parametrize(
    ("reply", "key", "right"),
    [
        ("We open at TEN O'CLOCK!", "ten o'clock", True),
        ("We are closed on Wednesdays.", "Wednesday", True),
        ("We open at 19:00.", "9:00", False),
        ("It costs 150 euros", "15", False),
        ("Мы всё ещё открыты", "все еще", True),
        ("", "ten", False),
        ("I am a small built-in model and do not know.", "ten", False),
    ],
    ids=["case and punctuation", "an ending", "not inside a number", "not a longer number", "ё", "silence", "refusal"],
)
def test_an_answer_is_right_when_it_contains_the_key_as_whole_words(reply: str, key: str, right: bool):
    assert is_right(reply, key) is right


def test_the_share_counts_right_answers():
    questions = [Question("a", "yes"), Question("b", "yes"), Question("c", "no")]

    assert share(questions, ["yes", "no", "no"]) == "2 of 3 (67 %)"


def test_no_held_out_question_was_trained_on_and_no_question_gives_its_answer_away():
    with (examples() / "shop.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))

    asked = held_out()

    assert len(asked) >= 40
    assert not {q.text.casefold() for q in asked} & {row["question"].casefold() for row in rows}
    assert not [q for q in asked if is_right(q.text, q.key)]
    assert not [q for q in asked if not any(is_right(row["answer"], q.key) for row in rows)]


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_quick_tour_leaves_a_dialogue_a_job_and_a_model_that_a_second_process_finds(tmp_path: Path):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "HYPOTEZ_"))}
    env = {**kept, "HYPOTEZ_HOME": str(tmp_path / "home")}

    def hypotez(*arguments: str) -> str:
        command = [sys.executable, "-m", "hypotez", *arguments]
        done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    shown = hypotez("demo", "--quick")
    jobs = json.loads(hypotez("jobs", "list", "--json"))
    tuned = next(
        job["fine_tuned_model"] for job in jobs if job["status"] == "succeeded" and "shop" in job["fine_tuned_model"]
    )

    assert "right, of all" in shown
    assert [job["id"] for job in json.loads((tmp_path / "home/job_ids.json").read_text())][-1] in [
        job["id"] for job in jobs
    ]
    assert [entry["role"] for entry in json.loads(next((tmp_path / "home/AI").glob("*.json")).read_text())]
    assert list((tmp_path / "home/models").rglob("adapter_model.safetensors"))
    assert json.loads(hypotez("ask", "-m", tuned, "--json", held_out()[0].text))["reply"]
