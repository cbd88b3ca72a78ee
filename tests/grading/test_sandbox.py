"""Python graders: what they can do, and what they cannot. Skipped where nothing can confine them."""

import time

import pytest

from hypotez.errors import InvalidRequest
from hypotez.grading.outcome import Fault, Ungraded
from hypotez.grading.sandbox import Limits, Sandbox

SAMPLE, ITEM = {"output_text": "three cats"}, {"answer": "cats"}


@pytest.fixture(scope="module")
def sandbox():
    sandbox = Sandbox(Limits(seconds=1.0))
    try:
        sandbox.check("def grade(sample, item): return 1")
    except InvalidRequest as exc:
        pytest.skip(exc.message)
    yield sandbox
    sandbox.close()


def body(text: str, before: str = "") -> str:
    return f"{before}\ndef grade(sample, item):\n    {text}"


@pytest.mark.parametrize(
    ("source", "grade"),
    [
        (body("return float(item['answer'] in sample['output_text'])"), 1.0),
        (body("return True"), 1.0),
        (body("return len(re.findall('a', sample['output_text'])) / 4", "import re"), 0.25),
        (body("return np.mean([0, 1]) + 0 * np.random.rand()", "import numpy as np"), 0.5),
        (body("return datetime.strptime('2026', '%Y').year", "from datetime import datetime"), 2026.0),
        (body("print('noise'); return 0.5"), 0.5),
    ],
)
def test_a_grader_computes(sandbox, source, grade):
    assert sandbox.grade(source, SAMPLE, ITEM) == grade


@pytest.mark.parametrize(
    "source",
    [
        body("return len(open('/etc/passwd').read())"),
        body("open('x', 'w'); return 1"),
        body("return len(posix.listdir('/'))", "import posix"),
        body("return posix.fork()", "import posix"),
        body("posix.kill(posix.getppid(), 15); return 1", "import posix"),
        body("posix.execv('/bin/true', ['true']); return 1", "import posix"),
        body("return len(posix.stat('/').st_mode)", "import posix"),
        body("import socket; socket.socket(); return 1"),
        body("import _socket; _socket.socket(); return 1"),
        body("import subprocess; return subprocess.call(['true'])"),
        body("import ctypes; return 1 / (1 + ctypes.CDLL(None).open(b'/etc/passwd', 0))"),
        body("return len(bytearray(3 << 30))"),
        body("return grade(sample, item)"),
        body("raise SystemExit(0)"),
        body("return 'a lot'"),
        body("return float('nan')"),
        body("return 1 / 0"),
        body("while True: pass"),
        "x = 1",
        "def grade(:",
        "raise ValueError('at once')",
    ],
)
def test_a_grader_that_reaches_out_or_breaks_gives_no_grade(sandbox, source):
    with pytest.raises(Ungraded) as caught:
        sandbox.grade(source, SAMPLE, ITEM)

    assert caught.value.fault is Fault.PYTHON
    assert sandbox.grade(body("return 1"), SAMPLE, ITEM) == 1.0


def test_a_command_of_the_shell_never_starts(sandbox, tmp_path):
    sandbox.grade(body(f"os.system('touch {tmp_path}/seen'); return 1", "import os"), SAMPLE, ITEM)

    assert not (tmp_path / "seen").exists()


def test_the_environment_of_the_server_is_not_the_graders(sandbox, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")

    assert sandbox.grade(body("return float('OPENAI_API_KEY' in os.environ)", "import os"), SAMPLE, ITEM) == 0.0


def test_the_line_that_failed_is_told(sandbox):
    with pytest.raises(Ungraded, match="line 3, in grade\nKeyError: 'nothing'"):
        sandbox.grade(body("return item['nothing']"), SAMPLE, ITEM)


def test_a_thousand_grades_take_one_start(sandbox):
    source = body("return float(len(sample['output_text']))")
    sandbox.check(source)
    begun = time.process_time()

    grades = [sandbox.grade(source, {"output_text": "x" * n}, {}) for n in range(1000)]

    assert grades == list(range(1000))
    assert time.process_time() - begun < 2.0


def test_a_machine_without_a_sandbox_refuses_and_names_the_setting(tmp_path):
    # an inmate that cannot lock its door says so
    inmate = tmp_path / "inmate.py"
    inmate.write_text("import json\ninput()\nprint(json.dumps({'unconfined': True}))\n")
    unlocked = Sandbox(inmate=inmate)

    with pytest.raises(InvalidRequest, match=r"grading\.unconfined_python") as caught:
        unlocked.check("def grade(sample, item): return 1")

    assert caught.value.code == "no_sandbox"
