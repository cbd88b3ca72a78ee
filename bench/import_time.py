"""How long ``import hypotez`` and ``hypotez --help`` take, in fresh interpreters, beside an empty one."""

import subprocess
import sys
import time
from statistics import median

ROUNDS = 15
CASES = {
    "an empty interpreter": ["-c", "pass"],
    "`import hypotez`": ["-c", "import hypotez"],
    "`from hypotez import OpenAIModel`": ["-c", "from hypotez import OpenAIModel"],
    "`hypotez --help`": ["-m", "hypotez", "--help"],
}


def seconds(arguments: list[str]) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begun


def main() -> None:
    took = {name: median(seconds(arguments) for _ in range(ROUNDS)) for name, arguments in CASES.items()}
    empty = took["an empty interpreter"]
    print(f"| start of a process, median of {ROUNDS} | ms | above empty |")
    print("|---|---|---|")
    for name, value in took.items():
        print(f"| {name} | {value * 1000:.0f} | {(value - empty) * 1000:.0f} |")


if __name__ == "__main__":
    main()
