"""Which batch and step size small sets want: held-out questions answered rightly, for a few points around ``auto``.

    python bench/auto.py [10] [50] [200]

The built-in model, OpenAI's epoch rule, three sets: ten facts of ``examples/shop.csv`` in one wording each, 17 facts in
three (51 rows), and a price list of 40 things in five wordings each (200 rows). Asked are wordings that training never
sees. Beside each count stands the loss on the same questions and their answers.
"""

import csv
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hypotez.demo import answers, held_out, is_right
from hypotez.engine.engine import Engine, EngineOptions
from hypotez.engine.sequence import Sampling
from hypotez.engine.sequence import Sequence as TokenSequence
from hypotez.nn.adapters import load_adapter
from hypotez.nn.decoder import Decoder
from hypotez.nn.load import load
from hypotez.pocket import FOLDER
from hypotez.progress import StepMetrics, Wanted
from hypotez.text import Chat
from hypotez.training.job import train
from hypotez.training.spec import Spec

SHOP = Path(__file__).parents[1] / "examples" / "shop.csv"
SEEDS = {"10": (0, 1), "50": (0, 1), "200": (0,)}
POINTS: dict[str, list[tuple[int, float]]] = {  # batch and multiplier
    "10": [(1, 0.25), (1, 0.5), (1, 2.0), (2, 1.0), (4, 1.0), (4, 2.0)],
    "50": [(1, 0.5), (1, 2.0), (2, 1.0), (4, 2.0)],
    "200": [(1, 0.5), (4, 1.0), (8, 2.0)],
}
THINGS = (
    "kettle", "ladder", "lantern", "hammer", "saddle", "violin", "teapot", "mirror", "blanket", "basket", "hat", "drum",
    "rope", "chair", "table", "clock", "bottle", "brush", "candle", "carpet", "coat", "cup", "desk", "fork", "glove",
    "jar", "knife", "lamp", "map", "needle", "pan", "pillow", "plate", "scarf", "shelf", "shoe", "soap", "spoon",
    "tent", "umbrella",
)  # fmt: skip
WORDINGS = (
    "How much is the {x}?", "What does the {x} cost?", "Price of the {x}?", "What is the price of a {x}?",
    "I want to buy a {x}. How much is it?",
)  # fmt: skip
OTHER_WORDINGS = ("How much does a {x} cost?", "Tell me the price of the {x}.")


@dataclass(frozen=True)
class Row:
    question: str
    answer: str
    key: str


class Silent:
    """A journal that keeps the loss on the validation file, and what ``auto`` came to."""

    def __init__(self) -> None:
        self.loss, self.resolved = float("nan"), dict[str, float]()

    def event(self, message: str, level: str = "info", data: dict[str, Any] | None = None) -> None: ...

    def hyperparameters(self, resolved: dict[str, float]) -> None:
        self.resolved = resolved

    def metrics(self, told: StepMetrics) -> None:
        self.loss = self.loss if told.full_valid_loss is None else told.full_valid_loss

    def checkpoint(self, folder: Path, told: StepMetrics) -> None: ...

    def wanted(self) -> Wanted:
        return "run"


def shop(facts: int, wordings: int) -> tuple[list[Row], list[Row]]:
    """The first facts of the shop in so many wordings, and the questions about them that are held out."""
    right = answers()
    with SHOP.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    chosen = list(dict.fromkeys(row["answer"] for row in rows))[:facts]
    kept = [row for answer in chosen for row in [r for r in rows if r["answer"] == answer][:wordings]]
    asked = [Row(q.text, right[q.key], q.key) for q in held_out() if right[q.key] in chosen]
    return [Row(row["question"], row["answer"], "") for row in kept], asked


def prices() -> tuple[list[Row], list[Row]]:
    cost = {thing: 11 + 37 * n % 89 for n, thing in enumerate(THINGS)}
    both = [
        [Row(w.format(x=x), f"The {x} costs {cost[x]} euros.", str(cost[x])) for x in THINGS for w in wordings]
        for wordings in (WORDINGS, OTHER_WORDINGS)
    ]
    return both[0], both[1]


def write(rows: Sequence[Row], path: Path) -> Path:
    lines = [
        {"messages": [{"role": "user", "content": row.question}, {"role": "assistant", "content": row.answer}]}
        for row in rows
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def replies(decoder: Decoder, chat: Chat, questions: Sequence[str], most: int = 32) -> list[str]:
    """The likeliest ones, by the adapter in slot 0."""
    wish = Sampling(max_tokens=most, temperature=0.0)
    prompts = (chat.encode([{"role": "user", "content": question}]) for question in questions)
    written = [TokenSequence(prompt, wish, eos_ids=chat.eos_ids, slot=0) for prompt in prompts]
    engine = Engine(decoder, EngineOptions(max_queue=len(written)))
    for one in written:
        engine.add(one)
    while engine.busy:
        engine.step()
    return [chat.decode(one.tokens[one.prompt_length :]) for one in written]


def measure(rows: Sequence[Row], asked: Sequence[Row], seed: int, folder: Path, **point: Any) -> tuple[int, Silent]:
    """Right replies, and the journal."""
    journal = Silent()
    training, validation = write(rows, folder / "t.jsonl"), write(asked, folder / "v.jsonl")
    spec = Spec(str(FOLDER), training, folder / "work", validation_file=validation, seed=seed, threads=1, **point)
    adapter = train(spec, journal).adapter
    assert adapter is not None
    decoder = load(FOLDER, torch.float32)
    load_adapter(decoder, 0, adapter)
    said = replies(decoder, Chat.open(FOLDER), [row.question for row in asked])
    return sum(is_right(text, row.key) for text, row in zip(said, asked, strict=True)), journal


def main() -> None:
    sets = {"10": lambda: shop(10, 1), "50": lambda: shop(17, 3), "200": prices}
    for name in sys.argv[1:] or list(sets):
        rows, asked = sets[name]()
        seeds = f"seeds {SEEDS[name]}"
        print(f"| {len(rows)} examples | batch | multiplier | right, of {len(asked)}: {seeds} | loss | seconds |")
        print("|---|---|---|---|---|---|")
        points: list[dict[str, Any]] = [
            {},
            *({"batch_size": b, "learning_rate_multiplier": m} for b, m in POINTS[name]),
        ]
        for point in points:
            right, losses, begun = [], [], time.process_time()
            for seed in SEEDS[name]:
                with tempfile.TemporaryDirectory() as folder:
                    found, journal = measure(rows, asked, seed, Path(folder), **point)
                right.append(found)
                losses.append(journal.loss)
            took = journal.resolved
            print(f"| {'`auto`' if not point else ''} | {took['batch_size']} | {took['learning_rate_multiplier']} | "
                  f"{' / '.join(map(str, right))} | {' / '.join(f'{loss:.2f}' for loss in losses)} | "
                  f"{(time.process_time() - begun) / len(right):.0f} |", flush=True)  # fmt: skip
        print()


if __name__ == "__main__":
    main()
