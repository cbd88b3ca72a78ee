"""Ctrl-C that waits for an import to end.

A KeyboardInterrupt in the middle of an import can leave the module's lock taken (CPython does not guard against it),
and another thread that imports the same module then waits for ever. The commands import what they need when they need
it, with a server in a second thread, so Ctrl-C did hit such a moment now and then.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SECONDS = 0.02  # until the next look, while an import is going on


@contextmanager
def after_imports() -> Iterator[None]:
    """Inside, SIGINT raises ``KeyboardInterrupt`` as usual, but not before an import under way has ended."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return
    before = signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    if not _importing(frame):
        raise KeyboardInterrupt
    signal.signal(signal.SIGALRM, _interrupt)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
