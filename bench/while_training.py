"""What a job costs against its forecast, and what it costs those who chat meanwhile: the built-in model.

    python bench/while_training.py [--epochs 24]

A job's forecast is asked before the first job on a machine, and again with that job's speed known. The chats are
streamed one after another, 16 new tokens each, before the jobs and while one trains.
"""

import argparse
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles

import psutil

from hypotez import OpenAIModel
from hypotez.settings import Settings

SHOP = Path(__file__).parents[1] / "examples" / "shop.csv"


def chats(model: OpenAIModel) -> Iterator[tuple[float, float]]:
    """Seconds to the first text and to the end of one chat after another."""
    while True:
        begun, first = time.perf_counter(), None
        asked = [{"role": "user", "content": f"What is the capital of France? {begun}"}]
        for part in model.client.chat.completions.create(model="pocket", messages=asked, max_tokens=16, stream=True):
            if first is None and part.choices and part.choices[0].delta.content:
                first = time.perf_counter() - begun
        yield first or 0.0, time.perf_counter() - begun


class Memory(threading.Thread):
    """The most memory a training process held, bytes."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most, self.over = 0, threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.2):
            for child in psutil.Process().children():
                try:
                    self.most = max(self.most, child.memory_info().rss)
                except psutil.Error:
                    continue


def line(name: str, found: list[tuple[float, float]]) -> str:
    first, whole = ([1000 * pair[which] for pair in found] for which in (0, 1))
    return f"| {name} | {median(first):.0f} | {quantiles(first, n=20)[-1]:.0f} | {median(whole):.0f} | {len(found)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=24)
    epochs = parser.parse_args().epochs
    with tempfile.TemporaryDirectory() as home, OpenAIModel("", "pocket", settings=Settings.load(home=home)) as model:
        chat = chats(model)
        next(chat)
        alone = [next(chat) for _ in range(100)]
        costs = []
        beside: list[tuple[float, float]] = []
        for name in ("the first job of a machine", "a later job"):
            forecast = model.train(data_file=SHOP, n_epochs=epochs, seed=7, dry_run=True)
            memory = Memory()
            memory.start()
            job = model.train(data_file=SHOP, n_epochs=epochs, seed=7, progress=False)
            begun = 0.0
            while (now := model.job(job)).status not in ("succeeded", "failed", "cancelled"):
                if now.status == "running" and not begun:
                    begun = time.perf_counter()
                if begun and name == "a later job":
                    beside.append(next(chat))
                else:
                    time.sleep(0.05)
            memory.over.set()
            took = time.perf_counter() - begun
            costs.append((name, forecast.seconds or 0.0, took, (forecast.memory or 0) / 1e9, memory.most / 1e9))
    print("| built-in model, `examples/shop.csv` | forecast, s | took, s | forecast, GB | held at most, GB |")
    print("|---|---|---|---|---|")
    for name, told, took, held, most in costs:
        print(f"| {name}, {epochs} epochs | {told:.0f} | {took:.0f} | {held:.2f} | {most:.2f} |")
    print("\n| a chat of 16 tokens | first text, median ms | p95 ms | whole, median ms | chats |")
    print("|---|---|---|---|---|")
    print(line("nothing else", alone))
    print(line("while a job trains", beside))


if __name__ == "__main__":
    main()
