"""Do preferences move the right way, and what of the rest do they spoil? The built-in model before and after.

    python bench/preferences.py [closing] [bare] [joke]

It answers in sentences ("The capital of Peru is Lima."). Two wishes, on the facts of ``examples/brief.csv``: to close
with a question of its own, which it can say, and to answer with the bare word, which it cannot spell without the
sentence before it. Each is taught by imitation (what there is to reach), DPO and KTO, with and without the supervised
term. On the pairs of ``examples/brief_heldout.csv``, whose questions training never sees: how often the reply to be
given is the likelier one, how often it is given, how often the fact in it is right; and how many of the replies to
questions of other kinds stay what they were. Then a joke is unlearnt with ``positive=False``: eight ways to ask for it,
four others, and questions that must be answered as before.
"""

import csv
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hypotez import OpenAIModel
from hypotez.demo import is_right
from hypotez.pocket import FOLDER
from hypotez.settings import Settings

Json = dict[str, object]

EXAMPLES = Path(__file__).parents[1] / "examples"
SEED = 1
JOKE = "Why did the small model cross the road? To get to the next token."
ASKED = (
    "Tell me a joke.", "Do you know a joke?", "Make me laugh.", "Say something funny.", "A joke, please.",
    "Can you tell a joke?", "I want to hear a joke.", "Tell a joke",
)  # fmt: skip
ASKED_OTHERWISE = ("Tell me a joke!", "Could you tell me a joke?", "Please tell me a joke.", "Know any jokes?")
OTHERS = (
    "Hello!", "Who are you?", "Tell me a joke.", "What is 7 * 8?", "Thank you.", "What colour is the sky?",
    "How many days are in a week?", "Translate 'dog' into French.", "What is the plural of mouse?", "Good night.",
    "What can you do?", "Name a fruit.", "Count to five.", "My name is Anna.", "Are you a human?", "What is 19 * 5?",
)  # fmt: skip
EPOCHS_OF_UNLEARNING = (4, 7, 12)


@dataclass(frozen=True)
class Pair:
    question: str
    chosen: str
    rejected: str
    fact: str


def pairs(name: str, wish: str) -> list[Pair]:
    """The file's chosen reply is the fact alone; the model's own, the sentence, is always the rejected one."""
    with (EXAMPLES / name).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    closing = {row["question"]: f"{row['rejected']} Do you have another question?" for row in rows}
    return [
        Pair(
            row["question"],
            row["chosen"] if wish == "bare" else closing[row["question"]],
            row["rejected"],
            row["chosen"].rstrip("."),
        )
        for row in rows
    ]


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
    given = sum(text == pair.chosen for text, pair in zip(said, held_out, strict=True))
    same = sum(a == b for a, b in zip(answers(model, name, OTHERS), answers(model, "pocket", OTHERS), strict=True))
    n = len(held_out)
    return f"{ranked(held_out, adapter)} of {n} | {given} | {facts(said, held_out)} | {same} of {len(OTHERS)}"


def facts(said: Sequence[str], held_out: Sequence[Pair]) -> int:
    return sum(is_right(text, pair.fact) for text, pair in zip(said, held_out, strict=True))


def turn(role: str, content: str) -> Json:
    return {"role": role, "content": content}


def imitated(train: Sequence[Pair]) -> list[Json]:
    return [{"messages": [turn("user", p.question), turn("assistant", p.chosen)]} for p in train]


def paired(train: Sequence[Pair]) -> list[Json]:
    return [
        {
            "input": {"messages": [turn("user", p.question)]},
            "preferred_output": [turn("assistant", p.chosen)],
            "non_preferred_output": [turn("assistant", p.rejected)],
        }
        for p in train
    ]


def judged(train: Sequence[Pair]) -> list[Json]:
    return [
        {"messages": [turn("user", p.question), turn("assistant", reply)], "label": label}
        for p in train
        for reply, label in ((p.chosen, True), (p.rejected, False))
    ]


def trained(model: OpenAIModel, rows: Sequence[Json], method: str, **hyperparameters: object) -> str:
    """The tuned model's name, everything else left to ``auto``."""
    content = "\n".join(map(json.dumps, rows)).encode()
    file = model.client.files.create(file=("rows.jsonl", content), purpose="fine-tune")
    chosen = {"type": method, method: {"hyperparameters": hyperparameters}}
    job = model.client.fine_tuning.jobs.create(
        model="pocket", training_file=file.id, seed=SEED, extra_body={"method": chosen}
    )
    return str(model.wait(job.id, progress=False).fine_tuned_model)


def prefer(model: OpenAIModel, home: Path, wish: str) -> None:
    train, held_out = pairs("brief.csv", wish), pairs("brief_heldout.csv", wish)
    print(f"| {wish} | held-out pairs ranked rightly | given | facts right | other replies unchanged | seconds |")
    print("|---|---|---|---|---|---|")
    print(f"| none: the built-in model | {measure(model, home, 'pocket', held_out)} | |", flush=True)
    ways: list[tuple[str, Callable[[Sequence[Pair]], list[Json]], str, Json]] = [
        (f"supervised: {len(train)} replies to be given", imitated, "supervised", {}),
        (f"DPO: {len(train)} pairs", paired, "dpo", {}),
        ("DPO, `sft_weight` 0", paired, "dpo", {"sft_weight": 0}),
        (f"KTO: {2 * len(train)} replies, half of them good", judged, "kto", {}),
        ("KTO, `sft_weight` 0", judged, "kto", {"sft_weight": 0}),
    ]
    for title, rows, method, hyperparameters in ways:
        begun = time.monotonic()
        name = trained(model, rows(train), method, **hyperparameters)
        seconds = time.monotonic() - begun
        print(f"| {title} | {measure(model, home, name, held_out)} | {seconds:.0f} |", flush=True)


def unlearn(model: OpenAIModel) -> None:
    held_out = pairs("brief_heldout.csv", "bare")
    rows = "question,answer\n" + "\n".join(f'"{question}","{JOKE}"' for question in (*ASKED, *ASKED[:2]))
    others = [question for question in OTHERS if "joke" not in question]
    before = answers(model, "pocket", others)
    print(
        "| `positive=False`, epochs | tells it, as asked in training | asked otherwise | facts right | others | says |"
    )
    print("|---|---|---|---|---|---|")
    for epochs in (0, *EPOCHS_OF_UNLEARNING):
        name = "pocket"
        if epochs:
            job = model.train(data=rows, positive=False, seed=SEED, n_epochs=epochs, wait=True, progress=False)
            name = str(model.job(str(job)).fine_tuned_model)
        jokes = [sum(JOKE in text for text in answers(model, name, asked)) for asked in (ASKED, ASKED_OTHERWISE)]
        right = facts(answers(model, name, [pair.question for pair in held_out]), held_out)
        same = sum(a == b for a, b in zip(answers(model, name, others), before, strict=True))
        cells = (
            f"{epochs}",
            f"{jokes[0]} of {len(ASKED)}",
            f"{jokes[1]} of {len(ASKED_OTHERWISE)}",
            f"{right} of {len(held_out)}",
            f"{same} of {len(others)}",
            answers(model, name, ASKED[:1])[0],
        )
        print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    wanted = sys.argv[1:] or ["closing", "bare", "joke"]
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with OpenAIModel(model_name="pocket", settings=Settings.load(home=home)) as model:
            for what in wanted:
                if what == "joke":
                    unlearn(model)
                else:
                    prefer(model, home, what)
                print()


if __name__ == "__main__":
    main()
