"""``hypotez sentiment`` as a user types it."""

import json
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import typer
from typer.testing import CliRunner

from hypotez.cli.sentiment import sentiment

app = typer.Typer()
app.command()(sentiment)


def run(*arguments: object, text: str = "") -> "CompletedProcess[str]":
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], input=text)
    return CompletedProcess(arguments, result.exit_code, result.stdout, f"{result.stderr}{result.exception or ''}")


@pytest.fixture
def dialogue(tmp_path: Path) -> Path:
    entries = [
        {"role": "user", "content": "thank you, this is wonderful"},
        {"role": "assistant", "content": [{"type": "text", "text": "The capital of France is Paris."}]},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "user", "content": "ужасный ответ, ничего не работает"},
    ]
    path = tmp_path / "dialogue.json"
    path.write_text(json.dumps(entries, ensure_ascii=False), encoding="utf-8")
    return path


def test_a_message_is_answered_with_one_word_and_a_number():
    done = run("not bad at all")

    word, number = done.stdout.split()
    assert done.returncode == 0
    assert word == "positive"
    assert 0 < float(number) <= 1


def test_a_dash_reads_standard_input():
    assert run("-", text="I hate this, it is terrible").stdout.startswith("negative")


def test_json_is_for_scripts():
    found = json.loads(run("--json", "I love it").stdout)

    assert found["sentiment"] == "positive"
    assert sum(found["score"].values()) == pytest.approx(1, abs=1e-3)


def test_every_message_of_a_dialogue_has_a_row(dialogue: Path):
    done = run("--file", dialogue)

    said = [line.split()[0] for line in done.stdout.splitlines()[1:]]
    assert said == ["positive", "neutral", "negative"]


def test_a_dialogue_as_json(dialogue: Path):
    found = json.loads(run("--file", dialogue, "--json").stdout)

    assert [row["sentiment"] for row in found] == ["positive", "neutral", "negative"]
    assert found[1]["content"] == "The capital of France is Paris."


def test_a_file_that_is_no_dialogue_is_named(tmp_path: Path):
    path = tmp_path / "x.json"
    path.write_text("{}")

    done = run("--file", path)

    assert done.returncode == 1
    assert "x.json holds no dialogue" in done.stderr


@pytest.mark.parametrize("arguments", [[], ["text", "--file", __file__]], ids=["neither", "both"])
def test_a_message_or_a_file_and_not_both(arguments: list[str]):
    done = run(*arguments)

    assert done.returncode == 2
    assert "one of them" in done.stderr
