"""Python's time of day, moved by what a file says: put this folder on PYTHONPATH and a process's clock can be set."""

import os
import time

_real, _path = time.time, os.environ["TEST_CLOCK_FILE"]


def jumped() -> float:
    with open(_path, encoding="ascii") as file:  # noqa: PTH123 - as little as possible is imported here
        return _real() + float(file.read())


time.time = jumped
