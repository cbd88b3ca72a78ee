"""What saving one more message costs when the dialogue is short and when it is long."""

import tempfile
import time
from pathlib import Path
from statistics import median

from hypotez.dialogue.log import DialogueLog

WINDOW = 100  # messages measured around each length
LENGTHS = (100, 1_000, 10_000)
ENTRY = {"role": "user", "content": "What does a Firefly lamp cost, and when is it back in stock? " * 4}


def main() -> None:
    took: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        log = DialogueLog(Path(folder, "dialogue.json"))
        entries: list[dict[str, str]] = []
        for _ in range(max(LENGTHS) + WINDOW // 2):
            entries.append(ENTRY)
            begun = time.perf_counter()
            log.save(entries)
            took.append(time.perf_counter() - begun)
        log.close()
    around = {n: median(took[n - WINDOW // 2 : n + WINDOW // 2]) for n in LENGTHS}
    print("| messages in the dialogue | one more, ms | times the 100th |")
    print("|---|---|---|")
    for length, seconds in around.items():
        print(f"| {length} | {seconds * 1000:.2f} | {seconds / around[100]:.2f} |")


if __name__ == "__main__":
    main()
