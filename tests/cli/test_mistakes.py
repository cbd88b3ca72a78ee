"""What people get wrong at the command line: one sentence says what, where and how to mend it; never a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.conftest import SHOP, Inside, Terminal
from typer.testing import CliRunner

from hypotez.cli import app

RUSSIAN = "вопрос,ответ\n" + "".join(f"Сколько стоит лампа номер {n}?,{n} рублей.\n" for n in range(12))


def one_sentence(shown) -> str:
    """Standard error of a command that failed as it should."""
    assert shown.returncode != 0, shown.stdout
    assert "Traceback" not in shown.stderr
    assert shown.stderr.startswith("Error: ")
    return shown.stderr


def raw(client: Inside, *arguments: str, text: bytes):
    """As ``client``, with bytes on standard input."""
    return CliRunner().invoke(app, [*arguments, "--base-url", client.url], input=text)


@pytest.mark.parametrize("command", [["ask", "-"], ["chat"], ["train", "-"]], ids=" ".join)
def test_a_pipe_in_another_encoding_is_told_of_it(client: Inside, command: list[str]):
    asked = raw(client, *command, text=RUSSIAN.encode("cp1251"))

    assert asked.exit_code == 1
    assert "Line 1 of standard input is not UTF-8" in asked.stderr
    assert "iconv -f cp1251 -t utf-8" in asked.stderr


def test_a_pipe_with_a_byte_order_mark_is_read_without_it(client: Inside):
    assert raw(client, "train", "-", "--dry-run", text=b"\xef\xbb\xbf" + RUSSIAN.encode()).exit_code == 0


def test_an_argument_in_another_encoding_is_told_of_it(client: Inside):
    assert "not UTF-8" in one_sentence(client("ask", b"\xcf\xf0\xe8".decode("utf-8", "surrogateescape")))


def test_data_on_standard_input_is_checked_too():
    checked = CliRunner().invoke(app, ["data", "check", "-"], input=RUSSIAN)

    assert checked.exit_code == 0, checked.stderr
    assert checked.stdout.startswith("standard input: 12 examples")


def test_a_file_with_too_few_examples_is_named(client: Inside, tmp_path: Path):
    (tmp_path / "few.csv").write_bytes("вопрос,ответ\nКак дела,Хорошо\n".encode("cp1251"))

    checked = client("train", "few.csv")

    assert one_sentence(checked).startswith("Error: few.csv: Training file has 1 example(s)")


def test_a_folder_of_two_kinds_is_one_fault_for_each_file(client: Inside, tmp_path: Path):
    pairs = "question,chosen,rejected\n" + "".join(f"Lamp {n}?,{n} euros.,No.\n" for n in range(12))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.csv").write_text(pairs)
    (tmp_path / "folder" / "b.csv").write_text(RUSSIAN)

    told = one_sentence(client("train", "folder"))

    assert told.count("\n") == 1, told
    assert "b.csv:2: a supervised example, but folder/a.csv:2 is a dpo one; train them apart" in told


def test_columns_of_any_name_can_be_said(client: Inside, tmp_path: Path):
    (tmp_path / "mine.csv").write_text(RUSSIAN.replace("вопрос,ответ", "Frage,Antwort"))

    unnamed = client("train", "mine.csv", "--dry-run")
    named = client("train", "mine.csv", "--dry-run", "--columns", "Frage,Antwort")
    wrong = client("train", "mine.csv", "--dry-run", "--columns", "Frage,Antwrt")
    one = client("train", "mine.csv", "--dry-run", "--columns", "Frage")

    assert "--columns" in one_sentence(unnamed)
    assert named.returncode == 0, named.stderr
    assert "there is no column 'Antwrt'" in one_sentence(wrong)
    assert one.returncode == 2


def test_an_encoding_can_be_said(client: Inside, tmp_path: Path):
    (tmp_path / "koi8.csv").write_bytes(RUSSIAN.encode("koi8-r"))

    assert client("train", "koi8.csv", "--dry-run", "--encoding", "koi8-r").returncode == 0
    assert "There is no encoding 'klingon'" in one_sentence(client("train", "koi8.csv", "--encoding", "klingon"))


@pytest.mark.parametrize("value", ["0", "-1"])
def test_a_number_out_of_range_is_told_its_range(client: Inside, value: str):
    told = one_sentence(client("train", SHOP, "--lr-multiplier", value))

    assert "Expected a value > 0" in told
    assert "Supported values are: 'auto'" not in told


def test_a_model_that_cannot_be_trained_is_one_command_from_those_that_can(client: Inside):
    assert "hypotez models" in one_sentence(client("train", SHOP, "--model", "nosuch"))


def test_exporting_a_model_that_is_not_there_says_so(hypotez: Terminal):
    for form in ("--peft", "--merged", "--gguf"):
        told = CliRunner().invoke(app, ["export", "nosuch", form], env=hypotez.env)

        assert told.exit_code == 1
        assert "The model `nosuch` does not exist" in told.stderr
        assert "hypotez models" in told.stderr


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"HYPOTEZ_HOME": "/proc/nowhere"}, ["/proc/nowhere", "HYPOTEZ_HOME"]),
        ({"HYPOTEZ_HOME": "{file}"}, ["{file}", "HYPOTEZ_HOME"]),
        ({"HYPOTEZ_DATABASE": "foo"}, ["'foo'", "sqlite:///"]),
        ({"HYPOTEZ_DATABASE": "nosuchdb://host/x"}, ["nosuchdb", "sqlite:///"]),
        ({"HYPOTEZ_DATABASE": "sqlite:///{file}"}, ["{file}", "not a database"]),
    ],
    ids=["folder", "file", "no URL", "no dialect", "no database"],
)
def test_a_data_folder_or_database_that_cannot_be_used(variables: dict[str, str], words: list[str], tmp_path: Path):
    file = tmp_path / "notes.txt"
    file.write_text("not a database " * 100)
    env = {name: value.replace("{file}", str(file)) for name, value in variables.items()}
    env = {"HYPOTEZ_HOME": str(tmp_path / "home"), "HYPOTEZ_BASE_URL": None, **env}

    told = CliRunner().invoke(app, ["keys", "list"], env=env)

    assert told.exit_code == 1
    assert not told.exception or isinstance(told.exception, SystemExit), told.exception
    for word in words:
        assert word.replace("{file}", str(file)) in told.stderr
    assert "sqlalche.me" not in told.stderr
    assert file.read_text() == "not a database " * 100


def test_an_upstream_that_is_not_there_is_one_line_without_a_traceback(hypotez: Terminal):
    hypotez.variables["OPENAI_BASE_URL"] = "http://127.0.0.1:9/v1"

    asked = hypotez("ask", "Hello")

    assert "http://127.0.0.1:9/v1 cannot be reached" in asked.stderr
    assert "Traceback" not in asked.stderr
    assert asked.returncode == 1


def test_standard_output_may_be_closed(hypotez: Terminal):
    command = [sys.executable, "-m", "hypotez", "sentiment", "--json", "hello"]
    closed = subprocess.run(["sh", "-c", '"$@" >&-', "sh", *command], env=hypotez.env, capture_output=True, text=True)
    asked = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", *command[:3], "ask", "Hello"], env=hypotez.env, capture_output=True, text=True
    )

    assert "Traceback" not in closed.stderr + asked.stderr


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("nosuch", "There is no model 'nosuch'"),
        ("./nosuch", "There is no model './nosuch'"),
        ("{folder}", "{folder} holds no model: it has no config.json"),
    ],
    ids=["name", "path", "folder"],
)
def test_a_model_that_cannot_be_served_stops_the_server_from_starting(hypotez: Terminal, model: str, words: str):
    model, words = (text.replace("{folder}", str(hypotez.folder)) for text in (model, words))

    served = CliRunner().invoke(app, ["serve", "--port", "0", "--model", model], env=hypotez.env)

    assert served.exit_code == 1
    assert words in served.stderr
    assert "Qwen/Qwen3-0.6B" in served.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--method", "dpo"], "not using 'supervised' as the training method (provided method=dpo)"),
        (["--negative"], "positive=False is for plain examples, this is a dpo one"),
    ],
    ids=["method", "negative"],
)
def test_a_file_of_the_wrong_kind_is_one_fault(client: Inside, options: list[str], words: str):
    file = SHOP if "--method" in options else SHOP.with_name("brief.csv")

    told = one_sentence(client("train", file, *options))

    assert words in told
    assert told.count("\n") == 1, told


def test_a_question_without_quotes_is_one_question(client: Inside):
    asked = client("ask", "What", "is", "the", "capital", "of", "France?")

    assert asked.returncode == 0, asked.stderr
    assert "Paris" in asked.stdout


def test_an_assistant_on_no_model_is_one_command_from_those_there_are(client: Inside):
    told = one_sentence(client("assistants", "create", "x", "--model", "nosuch"))

    assert "The requested model 'nosuch' does not exist." in told
    assert "hypotez models" in told


def test_a_mistake_does_not_end_a_conversation_at_the_terminal(hypotez: Terminal, url: str):
    keyboard, typed = os.openpty()
    command = [sys.executable, "-m", "hypotez", "--base-url", url, "chat"]
    talking = subprocess.Popen(command, env=hypotez.env, stdin=typed, stdout=-1, stderr=-1, text=True)
    os.write(keyboard, b"/model nosuch\nHello\n/model pocket\nWhat is the capital of France?\n/exit\n")

    said, told = talking.communicate(timeout=60)
    os.close(keyboard)
    os.close(typed)

    assert talking.returncode == 0, told
    assert "The model `nosuch` does not exist" in told
    assert "Paris" in said
