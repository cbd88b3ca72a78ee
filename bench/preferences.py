"""Do preferences move the right way? The built-in model before and after DPO, KTO and ``positive=False``.

    python bench/preferences.py

It answers in sentences; ``examples/brief.csv`` prefers the bare word. On the pairs of ``examples/brief_heldout.csv``,
whose questions training never sees: how often the shorter reply is the likelier one, how often it is given, and how
often the fact in it is still right. Then a joke is unlearnt: eight ways to ask for it with ``positive=False``, four
other ways to ask for it, and questions that must be answered as before.
"""

import csv
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hypotez import OpenAIModel
from hypotez.demo import is_right
from hypotez.pocket import FOLDER
from hypotez.settings import Settings

EXAMPLES = Path(__file__).parents[1] / "examples"
SEED = 1
EPOCHS = 12
JOKE = "Why did the small model cross the road? To get to the next token."
ASKED = (
    "Tell me a joke.", "Do you know a joke?", "Make me laugh.", "Say something funny.", "A joke, please.",
    "Can you tell a joke?", "I want to hear a joke.", "Tell a joke",
)  # fmt: skip
ASKED_OTHERWISE = ("Tell me a joke!", "Could you tell me a joke?", "Please tell me a joke.", "Know any jokes?")


@dataclass(frozen=True)
class Pair:
    question: str
    chosen: str
    rejected: str


def pairs(name: str) -> list[Pair]:
    with (EXAMPLES / name).open(encoding="utf-8", newline="") as file:
        return [Pair(**row) for row in csv.DictReader(file)]


def ranked(held_out: Sequence[Pair], adapter: Path | None) -> int:
    """Pairs whose chosen reply has the higher probability."""
    import torch

    from hypotez.nn.adapters import load_adapter
    from hypotez.nn.load import load
    from hypotez.text import Chat
    from hypotez.training.examples import Examples
    from hypotez.training.logps import Policy, lay, sums

    chat, decoder, examples = Chat.open(FOLDER), load(FOLDER), Examples(per_example=2)
    if adapter is not None:
        load_adapter(decoder, 0, adapter)
    for pair in held_out:
        asked = {"role": "user", "content": pair.question}
        replies = ({"role": "assistant", "content": text} for text in (pair.chosen, pair.rejected))
        examples.append([chat.train_example([asked, reply]) for reply in replies], 512)
    laid = lay([tokens for i in range(len(examples)) for tokens in examples[i]], decoder.device)
    with torch.no_grad():
        logps, _ = Policy(decoder, None if adapter is None else 0).logps(laid)
    better, worse = sums(logps, laid).view(-1, 2).unbind(1)
    return int((better > worse).sum())


def answers(model: OpenAIModel, name: str, questions: Sequence[str]) -> list[str]:
    """The likeliest replies."""
    said = []
    for question in questions:
        asked = [{"role": "user", "content": question}]
        reply = model.client.chat.completions.create(model=name, messages=asked, temperature=0, max_tokens=48)  # type: ignore[arg-type]
        said.append(reply.choices[0].message.content or "")
    return said


def folder_of(home: Path, name: str) -> Path:
    return home / "models" / "".join(c if c.isalnum() or c in "._-" else "_" for c in name)


def measure(model: OpenAIModel, home: Path, name: str, held_out: Sequence[Pair]) -> str:
    """A row's cells for one model."""
    adapter = None if name == "pocket" else folder_of(home, name)
    said = answers(model, name, [pair.question for pair in held_out])
    short = sum(len(text) <= len(pair.chosen) + 2 for text, pair in zip(said, held_out, strict=True))
    right = sum(is_right(text, pair.chosen.rstrip(".")) for text, pair in zip(said, held_out, strict=True))
    return f"{ranked(held_out, adapter)} of {len(held_out)} | {short} | {right}"


def trained(model: OpenAIModel, **options: object) -> str:
    """Train and wait; the tuned model's name."""
    job = model.train(seed=SEED, n_epochs=EPOCHS, wait=True, progress=False, **options)  # type: ignore[arg-type]
    return str(model.client.fine_tuning.jobs.retrieve(job).fine_tuned_model)


def unpaired(train: Sequence[Pair]) -> str:
    """For KTO: of each question one reply only, and twice as many to be avoided as to be given."""
    rows = [(p.question, p.rejected if n % 3 else p.chosen, "false" if n % 3 else "true") for n, p in enumerate(train)]
    return table([("question", "answer", "label"), *rows])


def table(rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows)


def main() -> None:
    train, held_out = pairs("brief.csv"), pairs("brief_heldout.csv")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with OpenAIModel(model_name="pocket", settings=Settings.load(home=home)) as model:
            print("| examples | held-out pairs ranked rightly | answered with the bare word | fact right | seconds |")
            print("|---|---|---|---|---|")
            print(f"| none: the built-in model | {measure(model, home, 'pocket', held_out)} | |", flush=True)
            ways = {
                f"DPO: {len(train)} pairs": {"data_file": EXAMPLES / "brief.csv"},
                f"KTO: {len(train)} replies, a third of them good": {"data": unpaired(train)},
            }
            for title, options in ways.items():
                begun = time.monotonic()
                name = trained(model, **options)
                seconds = time.monotonic() - begun
                print(f"| {title} | {measure(model, home, name, held_out)} | {seconds:.0f} |", flush=True)
            unlearnt = trained(model, data=table([("question", "answer"), *((q, JOKE) for q in (*ASKED, *ASKED[:2]))]),
                               positive=False)  # fmt: skip
            print("\n| `positive=False` on one joke | tells it, as asked in training | asked otherwise | facts right |")
            print("|---|---|---|---|")
            for title, name in (("before", "pocket"), ("after", unlearnt)):
                jokes = [
                    sum(JOKE in text for text in answers(model, name, asked)) for asked in (ASKED, ASKED_OTHERWISE)
                ]
                said = answers(model, name, [pair.question for pair in held_out])
                right = sum(is_right(text, p.chosen.rstrip(".")) for text, p in zip(said, held_out, strict=True))
                print(f"| {title} | {jokes[0]} of {len(ASKED)} | {jokes[1]} of {len(ASKED_OTHERWISE)} | "
                      f"{right} of {len(held_out)} |", flush=True)  # fmt: skip
            print(f"\nInstead it says: {answers(model, unlearnt, ASKED[:1])[0]!r}")


if __name__ == "__main__":
    main()
