"""What the terminal says about an error: what happened, the value, the cure, in one place and nowhere twice."""

import errno
import io
import json
import sys

import httpx2
import openai
import pytest
from rich.console import Console

from hypotez.cli import _print
from hypotez.errors import DataError, Fault, MissingExtra, NotFound

REQUEST = httpx2.Request("POST", "http://127.0.0.1:1/v1/chat/completions")


def refused(status: int, message: str) -> openai.APIStatusError:
    body = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    return openai.APIStatusError(message, response=httpx2.Response(status, request=REQUEST), body=body)


@pytest.mark.parametrize(
    ("raised", "said", "cure"),
    [
        (NotFound("No job 'x'.", hint="hypotez jobs list"), "No job 'x'.", "hypotez jobs list"),
        (OSError(errno.ENOSPC, "No space left on device", "/full/x"), "/full/x: No space left", "HYPOTEZ_HOME"),
        (OSError(errno.EADDRINUSE, "Address already in use"), "Address already in use", "--port"),
        (PermissionError(errno.EACCES, "Permission denied", "/home/x"), "/home/x: Permission denied", "HYPOTEZ_HOME"),
        (OSError(errno.EROFS, "Read-only file system", "/ro/x"), "/ro/x: Read-only", "HYPOTEZ_HOME"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "x.csv"), "x.csv: No such file", ""),
        (openai.APIConnectionError(request=REQUEST), "No server answers at http://127.0.0.1:1", "hypotez serve"),
        (openai.APITimeoutError(request=REQUEST), "No answer in time", "Try again"),
        (refused(401, "Incorrect API key provided"), "Incorrect API key provided", "--api-key"),
        (refused(404, "The model `x` does not exist"), "The model `x` does not exist", "hypotez models"),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), "torch", "pip install 'hypotez[local]'"),
        (MissingExtra("local", "the engine"), "the engine needs an optional part", "pip install 'hypotez[local]'"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_error_is_one_line_and_its_cure(raised: Exception, said: str, cure: str, capsys: pytest.CaptureFixture[str]):
    known = _print.error(raised)

    shown = capsys.readouterr()
    assert known
    assert shown.out == ""
    assert shown.err.startswith("Error: ")
    assert said in shown.err.splitlines()[0]
    assert cure in shown.err


def test_a_server_of_another_kind_is_told_from_one_of_ours(capsys: pytest.CaptureFixture[str]):
    _print.error(openai.APIStatusError("x", response=httpx2.Response(501, request=REQUEST), body=None))

    said = capsys.readouterr().err
    assert "http://127.0.0.1:1/v1/chat/completions answers 501" in said
    assert "Its address ends in /v1" in said


def test_every_fault_of_a_file_is_listed(capsys: pytest.CaptureFixture[str]):
    faults = [Fault("shop.csv", line, "answer", "is empty") for line in (3, 7, 40)]

    _print.error(DataError("shop.csv: 3 faults.", faults=faults))

    assert [line for line in capsys.readouterr().err.splitlines() if "is empty" in line] == [
        "  shop.csv:3: answer: is empty",
        "  shop.csv:7: answer: is empty",
        "  shop.csv:40: answer: is empty",
    ]


def test_a_bug_keeps_its_traceback(capsys: pytest.CaptureFixture[str]):
    assert not _print.error(ZeroDivisionError("a bug"))
    assert capsys.readouterr().err == ""


def test_json_keeps_every_letter_and_opens_sdk_objects(monkeypatch: pytest.MonkeyPatch):
    written = io.StringIO()
    monkeypatch.setattr("sys.stdout", written)

    _print.as_json([{"reply": "Париж"}, openai.types.Model(id="pocket", created=0, object="model", owned_by="hypotez")])

    assert "Париж" in written.getvalue()
    assert json.loads(written.getvalue())[1]["id"] == "pocket"


def test_a_narrow_terminal_cuts_no_id(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    job = "ftjob-dUWe0c26mnNnojrHUZhqkr83"
    monkeypatch.setattr(_print, "out", lambda: Console(file=sys.stdout, width=24))

    _print.table(["job", "status"], [(job, "succeeded")], empty="")

    cells = capsys.readouterr().out.splitlines()[1:]
    assert "".join(line.split()[0] for line in cells) == job
    assert "succeeded" in "".join(word for line in cells for word in line.split()[1:])
