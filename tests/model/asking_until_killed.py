"""Processes that ask in a loop, each killed at a random instant; run by ``test_kills.py``, which reads the end.

    python asking_until_killed.py FOLDER ROUNDS

A clean process of its own: it forks, and a test session has threads. Prints what it counted as JSON.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import openai.resources.chat  # noqa: F401  loaded once here, not by each child
from tests.model.fake_server import FakeServer

from hypotez import OpenAIModel, determine_sentiment
from hypotez.settings import Settings


def serve(writing: int) -> None:
    with FakeServer() as server:
        os.write(writing, server.base_url.encode())
        os.close(writing)
        signal.pause()


def ask_forever(base_url: str, path: Path, writing: int) -> None:
    model = OpenAIModel(base_url=base_url, settings=Settings.load(home=path.parent), dialogue_log_path=path)
    number = len(model.dialogue) // 2
    while True:
        model.ask(f"{number} " + "длинный вопрос " * 300)  # some pages long: a write of it can be cut
        number += 1
        os.write(writing, b"%d\n" % number)


def forked(work, *arguments) -> tuple[int, int]:
    """A child doing the work, and the reading end of a pipe from it."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        work(*arguments, writing)
        os._exit(1)
    os.close(writing)
    return pid, reading


def main(folder: Path, rounds: int) -> dict[str, int]:
    determine_sentiment("loaded once here, too")
    path, chance = folder / "dialogue.json", random.Random(1)
    server, answer = forked(serve)
    base_url = os.read(answer, 100).decode()
    exchanges = killed_while_asking = 0
    for _ in range(rounds):
        child, told = forked(ask_forever, base_url, path)
        first = os.read(told, 100)  # it is in its loop now
        time.sleep(chance.uniform(0, 0.03))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with os.fdopen(told, "rb") as rest:
            said = (first + rest.read()).split()

        entries = json.loads(path.read_text("utf-8"))
        numbers = [int(entry["content"].split()[0]) for entry in entries if entry["role"] == "user"]
        assert numbers == list(range(len(numbers)))
        assert [entry["role"] for entry in entries] == ["user", "assistant"] * len(numbers)
        assert int(said[-1]) <= len(numbers) <= int(said[-1]) + 1, (said[-1], len(numbers))
        exchanges, killed_while_asking = len(numbers), killed_while_asking + 1
    os.kill(server, signal.SIGKILL)
    os.waitpid(server, 0)
    return {"kills": killed_while_asking, "exchanges": exchanges}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]))))
