"""From ``train`` to a job's first step on the built-in model: data, upload, check, a new process, torch, the model.

    python bench/first_step.py [--rounds 5]

The embedded server is warm, as in a program that has asked something before.
"""

import argparse
import contextlib
import tempfile
import time
from pathlib import Path
from statistics import median

import psutil

from hypotez import OpenAIModel
from hypotez.settings import Settings

SHOP = Path(__file__).parents[1] / "examples" / "shop.csv"


def first_step(model: OpenAIModel) -> tuple[float, float]:
    """Seconds until the first step is told, and seconds of the training process's processor by then."""
    begun, used = time.perf_counter(), 0.0
    job = model.train(data_file=SHOP, n_epochs=1, seed=7, progress=False)
    while True:
        for child in psutil.Process().children():
            with contextlib.suppress(psutil.Error):  # an earlier one that has just ended
                if job in child.cmdline():
                    times = child.cpu_times()
                    used = max(used, times.user + times.system)
        if any(event.type == "metrics" for event in model.client.fine_tuning.jobs.list_events(job, limit=5).data):
            seconds = time.perf_counter() - begun
            model.cancel(job)
            return seconds, used
        time.sleep(0.02)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as home, OpenAIModel("", "pocket", settings=Settings.load(home=home)) as model:
        model.ask("What is the capital of France?")
        found = []
        for _ in range(rounds):
            found.append(first_step(model))
            time.sleep(2.0)  # the cancelled job's process goes
    seconds, used = zip(*found, strict=True)
    print(f"| from `train` to the first step, median of {rounds} | s |")
    print("|---|---|")
    print(f"| until the step is told | {median(seconds):.2f} |")
    print(f"| processor time of the training process by then | {median(used):.2f} |")


if __name__ == "__main__":
    main()
