"""Sentiment: messages per second on one core, one at a time and together; the first call; the size of the weights."""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import random
import subprocess
import sys
import time
from string import ascii_lowercase

from hypotez.sentiment import determine_sentiment, determine_sentiments, shipped
from hypotez.sentiment.classifier import WEIGHTS
from hypotez.sentiment.recipe import generate

MESSAGES = 20_000
ROUNDS = 3
FIRST = """
import time
from hypotez.sentiment import determine_sentiment
begun = time.{clock}()
determine_sentiment("hello")
print(time.{clock}() - begun)
"""


def messages() -> list[str]:
    """Different messages of the lengths a chat has: one to three of the recipe's, joined."""
    chance = random.Random(1)
    texts = [row.text for row in generate.written() + generate.made()]
    return [" ".join(chance.sample(texts, chance.randint(1, 3))) for _ in range(MESSAGES)]


def strangers() -> list[str]:
    """Messages of eleven words none of which was ever met: the worst that can come, one word at a time."""
    chance = random.Random(2)
    return [" ".join("".join(chance.choices(ascii_lowercase, k=6)) for _ in range(11)) for _ in range(3000)]


def rate(texts: list[str], together: bool) -> float:
    """Messages per second of processor time: other work on the machine is not ours to count."""
    begun = time.process_time()
    if together:
        determine_sentiments(texts)
    else:
        for text in texts:
            determine_sentiment(text)
    return len(texts) / (time.process_time() - begun)


def first_call(clock: str) -> float:
    """Milliseconds of the first call in a fresh process."""
    done = subprocess.run([sys.executable, "-c", FIRST.format(clock=clock)], capture_output=True, text=True, check=True)
    return float(done.stdout) * 1000


def main() -> None:
    texts = messages()
    words = sum(len(text.split()) for text in texts) / len(texts)
    print(f"| {MESSAGES} messages of {words:.0f} words on average, one core | messages/s |")
    print("|---|---|")
    for name, together in (("together", True), ("one at a time", False)):
        shipped.cache_clear()
        cold = rate(texts, together)
        warm = max(rate(texts, together) for _ in range(ROUNDS))
        print(f"| {name}, every word new to it at first | {cold:,.0f} |")
        print(f"| {name}, words met before | {warm:,.0f} |")
    shipped.cache_clear()
    print(f"| one at a time, words that are no words, no two alike | {rate(strangers(), False):,.0f} |")
    print()
    print("| first call, loading included | ms |")
    print("|---|---|")
    print(f"| processor time, median of 5 | {sorted(first_call('process_time') for _ in range(5))[2]:.0f} |")
    print(f"| wall clock, fastest of 5 | {min(first_call('perf_counter') for _ in range(5)):.0f} |")
    print(f"\nThe weights are {WEIGHTS.stat().st_size / 1e6:.2f} MB.")


if __name__ == "__main__":
    main()
