"""From ``hypotez ask`` to the first token on the terminal: a whole process, embedded server and built-in model."""

import os
import subprocess
import sys
import tempfile
import time
from statistics import median

ROUNDS = 7
QUESTION = "What is the capital of France?"


def seconds(home: str) -> tuple[float, float]:
    """Seconds to the first byte of the answer, and to the end of the process."""
    begun = time.perf_counter()
    command = [sys.executable, "-u", "-m", "hypotez", "ask", QUESTION]
    asked = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "HYPOTEZ_HOME": home})
    assert asked.stdout
    asked.stdout.read(1)
    first = time.perf_counter() - begun
    asked.stdout.read()
    if asked.wait():
        raise SystemExit(f"{' '.join(command)} ended with {asked.returncode}")
    return first, time.perf_counter() - begun


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        cold = seconds(home)  # creates the database
        warm = [seconds(home) for _ in range(ROUNDS)]
    print(f"| `hypotez ask`, a new process each time, median of {ROUNDS} | first token, s | end, s |")
    print("|---|---|---|")
    print(f"| the very first, empty data folder | {cold[0]:.2f} | {cold[1]:.2f} |")
    print(f"| after that | {median(w[0] for w in warm):.2f} | {median(w[1] for w in warm):.2f} |")


if __name__ == "__main__":
    main()
