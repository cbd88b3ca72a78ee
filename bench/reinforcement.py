"""Does reinforcement teach what no example shows? The built-in model before and after a job with OpenAI's graders.

    python bench/reinforcement.py [--prompts 120] [--epochs 1]

It multiplies when it is asked "What is 19 * 5?", and does not know what a product is: asked for one, it divides or says
that it cannot help. The prompts ask for products, and the grader (a few lines of Python) looks at the number that the
reply ends with; no reply is ever shown. Then the same for an answer's form: of the three ways in which it thanks for
being told something, a string_check wants one. Everything goes through the official SDK.
"""

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from hypotez import OpenAIModel
from hypotez.settings import Settings

Json = dict[str, object]

SEED = 1
HELD_OUT = 60
ENDS_RIGHT = """
def grade(sample, item):
    return float(sample["output_text"].rstrip(".").endswith(" " + item["answer"]))
"""
TOLD = {
    "I live in {}.": ["Oslo", "Paris", "Rome", "Omsk", "Kyoto", "Lima", "Cairo", "Riga", "Bonn", "Porto"],
    "My cat is called {}.": ["Tom", "Luna", "Max", "Bella", "Oscar", "Simba", "Coco", "Felix", "Misty", "Leo"],
    "I like {}.": ["tea", "music", "chess", "snow", "rain", "books", "jazz", "bread", "soup", "maps"],
    "I work as a {}.": [
        "nurse",
        "baker",
        "pilot",
        "cook",
        "teacher",
        "driver",
        "painter",
        "lawyer",
        "tailor",
        "farmer",
    ],
    "My lucky number is {}.": [str(n) for n in range(3, 13)],
    "The password is {}.": ["river", "apple", "stone", "cloud", "lemon", "tiger", "candle", "ladder", "pepper", "door"],
    "My best friend is {}.": ["Ann", "Bob", "Ivan", "Olga", "Peter", "Maria", "John", "Emma", "Oleg", "Nina"],
}


def prompt(question: str, answer: str) -> Json:
    return {"messages": [{"role": "user", "content": question}], "answer": answer}


def products() -> tuple[list[Json], Json, Callable[[str, str], bool]]:
    rows = [prompt(f"What is the product of {a} and {b}?", str(a * b)) for a in range(2, 31) for b in range(2, 10)]
    grader: Json = {"type": "python", "name": "right", "source": ENDS_RIGHT}
    return rows, grader, lambda text, answer: text.rstrip(".").endswith(" " + answer)


def thanks() -> tuple[list[Json], Json, Callable[[str, str], bool]]:
    rows = [prompt(told.format(what), "Noted.") for told, all_of_it in TOLD.items() for what in all_of_it]
    grader: Json = {
        "type": "string_check",
        "name": "noted",
        "operation": "eq",
        "input": "{{ sample.output_text }}",
        "reference": "{{ item.answer }}",
    }
    return rows, grader, lambda text, answer: text == answer


def right(model: OpenAIModel, name: str, rows: Sequence[Json], good: Callable[[str, str], bool]) -> int:
    """How many of the likeliest replies are right."""
    said = [
        model.client.chat.completions.create(model=name, messages=row["messages"], temperature=0, max_tokens=48)  # type: ignore[call-overload]
        for row in rows
    ]
    return sum(good(one.choices[0].message.content, row["answer"]) for one, row in zip(said, rows, strict=True))


def upload(model: OpenAIModel, rows: Sequence[Json]) -> str:
    lines = "\n".join(map(json.dumps, rows)).encode()
    return model.client.files.create(file=("prompts.jsonl", lines), purpose="fine-tune").id


def row(model: OpenAIModel, title: str, task: Callable[[], tuple[list[Json], Json, Callable[[str, str], bool]]],
        prompts: int, epochs: int) -> str:  # fmt: skip
    rows, grader, good = task()
    random.Random(SEED).shuffle(rows)
    train, held_out = (
        rows[: min(prompts, len(rows) - 20)],
        rows[-min(HELD_OUT, 20 + max(0, len(rows) - 20 - prompts)) :],
    )
    begun = time.monotonic()
    job = model.client.fine_tuning.jobs.create(
        model="pocket", seed=SEED, training_file=upload(model, train), validation_file=upload(model, held_out),
        method={"type": "reinforcement", "reinforcement": {"grader": grader, "hyperparameters": {"n_epochs": epochs}}},  # type: ignore[typeddict-item]
    )  # fmt: skip
    ended = model.wait(job.id, progress=False)
    seconds = time.monotonic() - begun
    events = model.client.fine_tuning.jobs.list_events(job.id, limit=100).data
    before = next(e.message for e in events if e.message.startswith("Mean reward on the validation"))
    rewards = [e.data["valid_reward_mean"] for e in events if e.type == "metrics" and "valid_reward_mean" in e.data]
    greedy = [right(model, name, held_out, good) for name in ("pocket", str(ended.fine_tuned_model))]
    return (
        f"| {title} | {grader['type']} | {len(train)} | {float(before.rpartition(' ')[2]):.2f} | {rewards[0]:.2f} | "
        f"{greedy[0]} of {len(held_out)} | {greedy[1]} of {len(held_out)} | {seconds:.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=120, help="prompts to learn from")
    parser.add_argument("--epochs", type=int, default=1, help="how often each is tried")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        OpenAIModel(model_name="pocket", settings=Settings.load(home=Path(folder))) as model,
    ):
        print("| task | grader | prompts | mean reward, held out: before | after | right: before | after | seconds |")
        print("|---|---|---|---|---|---|---|---|")
        print(row(model, "a product in words", products, options.prompts, options.epochs), flush=True)
        print(row(model, "one way to thank", thanks, options.prompts, options.epochs), flush=True)


if __name__ == "__main__":
    main()
