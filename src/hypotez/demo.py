"""The guided tour: models, assistants, ask, dynamic training, training from a CSV file, an image; then the numbers.

``main()`` shows on this machine, with no key and no network, that the loop closes: the built-in model cannot answer a
shop's questions, a fine-tuning job really trains on ``examples/shop.csv``, and the tuned model answers wordings it was
never trained on. What is right is measured by ``is_right`` below and nothing else. Knows only what a user knows:
``OpenAIModel`` and the terminal.
"""

import csv
import re
import unicodedata
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypotez.cli import _print
from hypotez.cli._watch import going_on, watch
from hypotez.errors import HypotezError, JobFailed

if TYPE_CHECKING:
    from rich.text import Text

    from hypotez.model import OpenAIModel

Json = dict[str, Any]

BASE = "pocket"  # the built-in model, whatever else is configured
SEED = 7
RECIPE: Json = {"n_epochs": 8, "batch_size": 1, "learning_rate_multiplier": 0.5}  # found by trying, see docs/log.md
EPOCHS = 4  # over the few exchanges of the tour's own dialogue
AT_ONCE = 8  # questions asked side by side while measuring
WIDTH = 110  # of that table, at most
SHOWN = 6  # rows of the final table
KNOWN = ("What is the capital of France?", "Какая столица Японии?", "What is the chemical symbol of gold?")


@dataclass(frozen=True, slots=True)
class Question:
    """A held-out wording, and the words a right answer must contain."""

    text: str
    key: str


def main(*, quick: bool = False) -> None:
    """The whole tour. ``quick`` trains for four epochs and measures ten questions. Raises what goes wrong."""
    from hypotez.model import OpenAIModel
    from hypotez.settings import Settings

    questions = held_out()[: 10 if quick else None]
    settings = Settings.load()
    # one example at a time has nothing to share: a second thread only waits, and on a busy machine waits badly
    settings.training = settings.training.model_copy(update={"threads": 1})
    with OpenAIModel(model_name=BASE, settings=settings) as model:
        show_models(model)
        ask(model, questions[0])
        learn_from_dialogue(model, questions[0])
        model.model = BASE
        with stage(f"{len(questions)} questions in wordings that training will never see, asked before it"):
            before = replies(model, BASE, questions)
            say(f"{share(questions, before)} right")
        tuned = train(model, quick)
        describe(model)
        with stage("The same questions, asked after it"):
            after = replies(model, tuned, questions)
        compare(questions, before, after)
        say(f"The dialogue: {model.dialogue_log_path}")
        say(f'Later, in any process:  hypotez jobs list  and  hypotez ask -m {tuned} "{questions[0].text}"')


def examples() -> Path:
    """Folder of the example files: inside the installed package, or beside the sources of a checkout."""
    packaged = Path(__file__).parent / "examples"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "examples"


def held_out() -> list[Question]:
    """The questions of ``shop_heldout.csv``: wordings that ``shop.csv`` does not contain."""
    with (examples() / "shop_heldout.csv").open(encoding="utf-8", newline="") as file:
        return [Question(row["question"], row["answer_contains"]) for row in csv.DictReader(file)]


def answers() -> dict[str, str]:
    """What ``shop.csv`` answers, by the key of each held-out question."""
    with (examples() / "shop.csv").open(encoding="utf-8", newline="") as file:
        given = [row["answer"] for row in csv.DictReader(file)]
    return {q.key: next(answer for answer in given if is_right(answer, q.key)) for q in held_out()}


def is_right(reply: str, key: str) -> bool:
    """Whether ``reply`` contains ``key`` from the beginning of a word on, letter case and punctuation aside.

    A word may go on after the key (Wednesday, Wednesdays; морковк, морковку), a number may not (15 is not 150).
    """
    wanted = _plain(key)
    end = r"(?!\w)" if wanted[-1:].isdigit() else ""
    return re.search(rf"(?<!\w){re.escape(wanted)}{end}", _plain(reply)) is not None


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold().replace("ё", "е")
    return " ".join(re.findall(r"\w+", folded))


def share(questions: Sequence[Question], said: Sequence[str]) -> str:
    """How many of the replies are right, as ``44 of 46 (96 %)``."""
    right = sum(is_right(reply, question.key) for question, reply in zip(questions, said, strict=True))
    return f"{right} of {len(questions)} ({100 * right / len(questions):.0f} %)"


def replies(model: "OpenAIModel", name: str, questions: Sequence[Question]) -> list[str]:
    """The model's most likely answers, asked past the dialogue: measuring is not talking."""

    def reply(question: Question) -> str:
        answer = model.client.chat.completions.create(
            model=name, messages=[{"role": "user", "content": question.text}], temperature=0, max_tokens=64
        )
        return answer.choices[0].message.content or ""

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(reply, questions))


def show_models(model: "OpenAIModel") -> None:
    with stage("What there is"):
        say(f"models: {', '.join(model.list_models)}")
        say(f"assistants: {', '.join(model.list_assistants) or 'none yet'}")


def ask(model: "OpenAIModel", unknown: Question) -> None:
    with stage("Asking: what it knows, and what it cannot know"):
        for text in (*KNOWN, unknown.text):
            say(f"> {text}")
            say(f"  {model.ask(text)}  [{model.dialogue[-1]['sentiment']}]")


def learn_from_dialogue(model: "OpenAIModel", missed: Question) -> None:
    """Correct the last answer and let a model learn from this dialogue: the same question, asked again."""
    wanted = answers()[missed.key]
    with stage("Dynamic training: the last answer is marked as bad, with a better one, and the dialogue is learned"):
        model.mark(-1, "negative", better=wanted)
        with going_on(model):
            model.dynamic_train(
                dialogues=[], method="supervised", suffix="dialogue", n_epochs=EPOCHS, seed=SEED, wait=True
            )
        tuned = model.job().fine_tuned_model or model.model
        say(f"> {missed.text}")
        say(f"  {replies(model, tuned, [missed])[0]}")


def describe(model: "OpenAIModel") -> None:
    """Show a picture to whatever can see; when nothing can, say how to connect something."""
    from openai import APIError
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (256, 256), "white")
    ImageDraw.Draw(picture).ellipse((48, 48, 208, 208), fill="red")
    model.model = model.settings.default_model  # an upstream's, where there is one
    with stage("Describing an image: a red disc on white"):
        try:
            say(str(model.describe_image(picture, prompt="What is on this picture?")))
        except (HypotezError, APIError) as error:
            said = _print.explain(error)
            say(f"Nothing configured here can see: {said[0] if said else error}")
            say("Something that can: set OPENAI_API_KEY, or an [[upstream]] with a vision model (docs/settings.md).")
    model.model = BASE


def train(model: "OpenAIModel", quick: bool) -> str:
    """Fine-tune on the shop's questions; the tuned model's name."""
    with stage("Training on examples/shop.csv, in a process of its own"):
        chosen = {**RECIPE, "n_epochs": 4} if quick else RECIPE
        job_id = str(model.train(data_file=examples() / "shop.csv", suffix="shop", seed=SEED, **chosen))
        model.save_job_id(job_id, "hypotez demo: the shop's questions")
        job = watch(model, job_id)
        if job.fine_tuned_model is None:
            raise JobFailed(
                f"{job_id} ended as {job.status}.", job=job, hint=f"Its events: hypotez jobs watch {job_id}"
            )
        say(f"{job_id} is {job.status} and noted in job_ids.json; the model is called {job.fine_tuned_model}")
    return job.fine_tuned_model


def compare(questions: Sequence[Question], before: Sequence[str], after: Sequence[str]) -> None:
    """The closing table: some rows, and the measured share over all of them."""
    from rich.table import Table

    table = Table("question, in a wording never trained on", "before", "after", show_lines=True, title="Measured")
    step = max(1, len(questions) // SHOWN)
    for row in list(zip(questions, before, after, strict=True))[::step][:SHOWN]:
        table.add_row(row[0].text, *(_marked(reply, row[0].key) for reply in row[1:]))
    table.add_section()
    table.add_row("right, of all", share(questions, before), share(questions, after), style="bold")
    console = _print.out()
    console.print(table, width=min(console.width, WIDTH))


def _marked(reply: str, key: str) -> "Text":
    from rich.text import Text

    right = is_right(reply, key)
    return Text.assemble(("✓ ", "green") if right else ("✗ ", "red"), reply)


@contextmanager
def stage(title: str) -> Iterator[None]:
    """A step of the tour, with how long it took."""
    import time

    begun = time.perf_counter()
    _print.out().print(f"\n[bold cyan]{title}[/]")
    yield
    _print.notice(f"{time.perf_counter() - begun:.1f} s")


def say(text: str) -> None:
    _print.out().print(f"  {text}", markup=False)
