"""What every trainer of `bench/training.py` is given and timed by. Peers read it in environments of their own."""

import random
import time

BATCH, RANK, ALPHA, PEAK, VOCABULARY = 8, 16, 32, 1e-3, 49152


def examples(count: int) -> list[tuple[list[int], list[bool]]]:
    """Random tokens, some far more frequent, so that there is something to learn; the second half is learnt."""
    rnd, found = random.Random(0), []
    for _ in range(count):
        length = rnd.randint(32, 192)
        ids = [int(VOCABULARY * rnd.random() ** 6) for _ in range(length)]
        found.append((ids, [i >= length // 2 for i in range(length)]))
    return found


def labelled(steps: int) -> list[dict[str, list[int]]]:
    """The examples as the peers take them: -100 where nothing is learnt."""
    return [
        {"input_ids": ids, "labels": [i if m else -100 for i, m in zip(ids, mask, strict=True)]}
        for ids, mask in examples(steps * BATCH)
    ]


class Clock:
    """Seconds, seconds of all cores together, and loss of every step."""

    def __init__(self) -> None:
        self.steps: list[dict[str, float]] = []
        self._begun = self._used = 0.0

    def start(self) -> None:
        self._begun, self._used = time.perf_counter(), time.process_time()

    def stop(self, loss: float) -> None:
        seconds, used = time.perf_counter() - self._begun, time.process_time() - self._used
        self.steps.append({"seconds": seconds, "processor": used, "loss": loss})
