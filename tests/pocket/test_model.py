"""The built-in model as users get it: small, quick to load, right in what it knows, honest about the rest."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hypotez.nn.attention import Packed
from hypotez.nn.load import load
from hypotez.pocket import FOLDER
from hypotez.text import Chat

EXAMPLES = Path(__file__).parents[2] / "examples"
HONEST = {"en": "small built-in model", "ru": "маленькая встроенная модель"}


class Speaker:
    """Greedy decoding without an engine: the whole conversation again for every token."""

    def __init__(self) -> None:
        self.chat, self.decoder = Chat.open(FOLDER), load(FOLDER, torch.float32)

    @torch.no_grad()
    def say(self, *messages: tuple[str, str], most: int = 48) -> str:
        ids = self.chat.encode([{"role": role, "content": content} for role, content in messages])
        asked = len(ids)
        for _ in range(most):
            hidden = self.decoder(torch.tensor(ids), torch.arange(len(ids)), Packed([len(ids)]))
            token = int(self.decoder.logits(hidden[-1:]).argmax())
            if token in self.chat.eos_ids:
                break
            ids.append(token)
        return self.chat.decode(ids[asked:])


@pytest.fixture(scope="module")
def model() -> Speaker:
    return Speaker()


def test_the_folder_stays_under_thirty_megabytes():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 30e6


def test_naming_the_folder_imports_nothing_heavy():
    code = "import sys, hypotez.pocket; print([m for m in ('torch', 'tokenizers', 'babel') if m in sys.modules])"

    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert out.strip() == "[]"


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is the capital of France?", "Paris"),
        ("capital of japan", "Tokyo"),
        ("Which country has Cairo as its capital?", "Egypt"),
        ("What currency is used in Poland?", "zloty"),
        ("What language do they speak in Brazil?", "Portuguese"),
        ("On which continent is Kenya?", "Africa"),
        ("What is the chemical symbol of gold?", "Au"),
        ("What is the atomic number of oxygen?", "8"),
        ("Which element has the symbol Fe?", "iron"),
        ("How many minutes are there in an hour?", "60"),
        ("What is the opposite of big?", "small"),
        ("Who are you?", "hypotez pocket"),
        ("Какая столица Италии?", "Рим"),
        ("Столицей какой страны является Берлин?", "Германии"),
        ("Какая валюта в Японии?", "иена"),
        ("Какой символ у железа?", "Fe"),
        ("Сколько дней в неделе?", "7"),
        ("Как тебя зовут?", "hypotez pocket"),
    ],
)
def test_it_knows_what_it_was_taught(model, question, answer):
    assert answer in model.say(("user", question))


@pytest.mark.parametrize(
    ("language", "question"),
    [
        ("en", "When do you open?"),
        ("en", "Can I return a purchase?"),
        ("en", "Write a poem about the sea."),
        ("en", "What is the latest news?"),
        ("en", "Write a Python function."),
        ("en", "Who is Barack Obama?"),
        ("en", "What is the weather like today?"),
        ("ru", "Какая у вас гарантия?"),
        ("ru", "Какие сегодня новости?"),
        ("ru", "Напиши код на Python."),
    ],
)
def test_it_says_so_when_it_does_not_know_and_names_the_cure(model, language, question):
    reply = model.say(("user", question), most=90)

    assert HONEST[language] in reply
    assert "hypotez serve --model" in reply


def test_it_answers_from_the_system_message(model):
    facts = (
        "Facts:\n- The shop opens at 9:15 and closes at 17:40.\n- Delivery takes 8 days.\n- The owner is Lena Price."
    )

    assert "8 days" in model.say(("system", facts), ("user", "How long does delivery take?"))


def test_it_remembers_a_name_told_before(model):
    said = (("user", "My name is Ann."), ("assistant", "Nice to meet you, Ann!"), ("user", "What is my name?"))

    assert "Ann" in model.say(*said)


def test_it_knows_none_of_the_demos_answers(model):
    rows = list(csv.DictReader((EXAMPLES / "shop_heldout.csv").open(encoding="utf-8")))[::5]

    right = [row["answer_contains"].lower() in model.say(("user", row["question"]), most=16).lower() for row in rows]

    assert sum(right) <= 0.2 * len(rows)


def test_transformers_reads_the_folder_and_gives_the_same_logits(model):
    transformers = pytest.importorskip("transformers")
    theirs = transformers.LlamaForCausalLM.from_pretrained(FOLDER, dtype=torch.float32)
    ids = torch.tensor(model.chat.encode([{"role": "user", "content": "What is the capital of France?"}]))

    with torch.no_grad():
        ours = model.decoder.logits(model.decoder(ids, torch.arange(len(ids)), Packed([len(ids)])))
        expected = theirs(ids[None]).logits[0]

    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-3)


def test_its_card_reports_held_out_accuracy_in_both_languages():
    card = (FOLDER.parent / "CARD.md").read_text(encoding="utf-8")

    assert "| kind of question | English | Russian |" in card
    assert "| capital |" in card
