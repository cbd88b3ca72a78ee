"""Ctrl-C waits for an import to end, and only for that."""

import importlib
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from hypotez.cli._interrupt import after_imports


@pytest.fixture(autouse=True)
def alarm_as_before():
    before = signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)
    signal.setitimer(signal.ITIMER_REAL, 0)
    yield
    signal.signal(signal.SIGALRM, before[0])
    signal.setitimer(signal.ITIMER_REAL, *before[1])


def test_an_import_under_way_ends_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    text = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nfor _ in range(1000): pass\nwhole = True\n"
    (tmp_path / "interrupted_module.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(KeyboardInterrupt), after_imports():
        importlib.import_module("interrupted_module")
        time.sleep(60)  # cut short by the interrupt that waited

    assert sys.modules.pop("interrupted_module").whole


def test_anything_else_is_interrupted_at_once():
    with pytest.raises(KeyboardInterrupt), after_imports():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)


def test_afterwards_ctrl_c_is_what_it_was():
    before = signal.getsignal(signal.SIGINT)

    with after_imports():
        pass

    assert signal.getsignal(signal.SIGINT) is before
