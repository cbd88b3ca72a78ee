"""Examples the labelled rows lack: written by hand, and made from templates.

Labelled rows are forum posts, subtitles and reviews. Missing from them is what a chat is full of: an assistant's plain
statements, code, commands, questions about unpleasant things, praise of the assistant and complaints to it, negations
of every kind, native Russian. ``examples.*.txt`` holds whole messages, ``templates.*.txt`` a small grammar.
"""

import random
import re
from collections.abc import Iterator
from pathlib import Path

from hypotez.sentiment.recipe.rows import Row

SIGNS = {"-": 0, "=": 1, "+": 2}
LANGUAGES = ("en", "ru")
EACH = 60  # messages made from one template, before repetitions are dropped
_SLOT = re.compile(r"\{(\w+)(?:\.(\w))?\}")
_ENDINGS = {"f": "ая", "n": "ое", "p": "ые", "g": "ого"}
Lists = dict[str, list[str]]


def written() -> list[Row]:
    """The lines of ``examples.*.txt``: a sign, a space, a message."""
    return [
        Row(line[2:], SIGNS[line[0]], language, "written")
        for language in LANGUAGES
        for line in _lines(f"examples.{language}.txt")
    ]


def made(seed: int = 0) -> list[Row]:
    """Messages from the templates, some of them mistyped, shouted or in two languages.

    Each language has its own chance: a template more in the one changes nothing that is made in the other.
    """
    rows: dict[str, Row] = {}
    for language in LANGUAGES:
        chance = random.Random(f"{language} {seed}")
        plain: dict[str, Row] = {}
        for text, label in _filled(f"templates.{language}.txt", chance):
            plain.setdefault(text, Row(text, label, language, f"made {language}"))
        rows |= plain
        for row in chance.sample(list(plain.values()), len(plain) // 4):
            text = _mistyped(row.text, chance)
            rows.setdefault(text, row._replace(text=text))
    for row in _mixed(list(rows.values()), random.Random(seed)):
        rows.setdefault(row.text, row)
    return list(rows.values())


def _lines(name: str) -> list[str]:
    lines = (Path(__file__).parent / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("# ")]


def _filled(name: str, chance: random.Random) -> Iterator[tuple[str, int]]:
    lists: Lists = {}
    for line in _lines(name):
        if line[:2] in ("+ ", "- ", "= "):
            for _ in range(EACH):
                text = _SLOT.sub(lambda slot: _choice(slot, lists, chance), line[2:])
                yield " ".join(text.split()), SIGNS[line[0]]
        else:
            key, _, choices = line.partition(" = ")
            lists[key] = [choice.strip() for choice in choices.split("|")]


def _choice(slot: re.Match[str], lists: Lists, chance: random.Random) -> str:
    name, case = slot.groups()
    if name not in lists:
        return slot.group()  # braces of code
    word = chance.choice(lists[name])
    return word if case is None else _agree(word, case)


def _agree(adjective: str, case: str) -> str:
    """A Russian adjective in the feminine, neuter, plural or (g) the genitive that follows "ничего"."""
    root, ending = adjective[:-2], _ENDINGS[case]
    if root[-1] in "жшщч" and not adjective.endswith("ой"):
        ending = {"ое": "ее", "ые": "ие", "ого": "его"}.get(ending, ending)
    elif root[-1] in "кгхжш":
        ending = {"ые": "ие"}.get(ending, ending)
    return root + ending


def _mistyped(text: str, chance: random.Random) -> str:
    """Shouted, or with letters lost, doubled, swapped."""
    if chance.random() < 0.25:
        return text.upper()
    letters = list(text)
    for _ in range(1 + len(letters) // 25):
        at = chance.randrange(len(letters))
        if not letters[at].isalpha():
            continue
        kind = chance.randrange(3)
        if kind == 0 and len(letters) > 8:
            letters[at] = ""
        elif kind == 1:
            letters[at] *= chance.choice((2, 3))
        elif at + 1 < len(letters):
            letters[at : at + 2] = reversed(letters[at : at + 2])
    return "".join(letters)


def _mixed(rows: list[Row], chance: random.Random) -> Iterator[Row]:
    """Half a thought in each language, of one mind; called Russian, for who knows English only cannot read them."""
    groups = {(row.language, row.label): [] for row in rows}  # type: dict[tuple[str, int], list[Row]]
    for row in rows:
        groups[row.language, row.label].append(row)
    for label in range(3):
        for _ in range(400):
            pair = [chance.choice(groups[language, label]).text for language in LANGUAGES]
            chance.shuffle(pair)
            yield Row(chance.choice((", ", ". ", " ")).join(pair), label, "ru", "made ru")
