"""hypotez ask, chat and describe."""

import json
from pathlib import Path

import pytest
from PIL import Image
from tests.cli.conftest import Inside, Terminal

FRANCE = "What is the capital of France?"


def test_ask_prints_the_answer_and_keeps_the_dialogue(hypotez: Terminal):
    asked = hypotez("ask", FRANCE)

    said = [json.loads(path.read_text()) for path in (hypotez.home / "AI").glob("*.json")]
    assert asked.returncode == 0, asked.stderr
    assert "Paris" in asked.stdout
    assert asked.stdout.strip() in [dialogue[-1]["content"].strip() for dialogue in said]


def test_ask_answers_a_script_in_json(client: Inside):
    asked = client("ask", "--json", "Какая столица Франции?")

    assert "Париж" in json.loads(asked.stdout)["reply"]
    assert json.loads(asked.stdout)["sentiment"] in ("positive", "negative", "neutral")


def test_ask_reads_a_question_from_a_pipe(client: Inside):
    assert "Paris" in client("ask", "-", text=FRANCE).stdout


def test_an_unknown_model_is_named_and_the_others_are_one_command_away(client: Inside):
    asked = client("ask", "-m", "no-such-model", FRANCE)

    assert asked.returncode == 1
    assert asked.stdout == ""
    assert "no-such-model" in asked.stderr.splitlines()[0]
    assert "hypotez models" in asked.stderr
    assert "Traceback" not in asked.stderr


def test_no_server_at_the_address_says_so(hypotez: Terminal):
    asked = hypotez("--base-url", "http://127.0.0.1:9/v1", "models")

    assert asked.returncode == 1
    assert "No server answers at http://127.0.0.1:9" in asked.stderr
    assert "Traceback" not in asked.stderr


def test_a_mistake_in_the_command_is_exit_code_2(hypotez: Terminal):
    assert hypotez("ask").returncode == 2
    assert hypotez("train").returncode == 2
    assert hypotez("no-such-command").returncode == 2


def test_chat_remembers_marks_and_leaves(client: Inside):
    talked = client("chat", text=f"{FRANCE}\n/bad It is Paris.\n/model\n/what\n/exit\nnever asked\n")

    assert talked.returncode == 0, talked.stderr
    assert "Paris" in talked.stdout
    assert "Marked as bad." in talked.stderr
    assert "Model: " in talked.stderr
    assert "/exit" in talked.stderr
    assert len(talked.stdout.strip().splitlines()) == 1


def test_chat_has_nothing_to_mark_before_the_first_answer(client: Inside):
    assert "no answer to mark" in client("chat", text="/good\n").stderr


@pytest.mark.parametrize("content", [b"this is no image", b""], ids=["text", "empty"])
def test_an_image_that_is_none_is_refused_before_anything_is_sent(client: Inside, tmp_path: Path, content: bytes):
    (tmp_path / "cat.png").write_bytes(content)

    described = client("describe", "cat.png")

    assert described.returncode == 1
    assert "cat.png" in described.stderr.splitlines()[0]
    assert "Traceback" not in described.stderr


def test_a_missing_image_is_named(client: Inside):
    described = client("describe", "no-such.png")

    assert described.returncode == 1
    assert "no-such.png" in described.stderr.splitlines()[0]
    assert "Traceback" not in described.stderr


def test_a_model_that_cannot_see_says_so(client: Inside, tmp_path: Path):
    Image.new("RGB", (32, 32), "red").save(tmp_path / "red.png")

    described = client("describe", "red.png")

    assert described.returncode == 1
    assert "image" in described.stderr.splitlines()[0]
    assert "Traceback" not in described.stderr
