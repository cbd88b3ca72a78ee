"""The labelled rows, and which of them may be looked at.

A row's part depends on its text alone: one in ten is held out (never trained on, never used to choose a setting), one
in ten is for choosing settings, the rest is for training. Two rows with one text fall into one part.
"""

import gzip
import json
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from hypotez.errors import DataError
from hypotez.sentiment.classifier import LABELS

WEIGHT = {  # what a row of each source counts: the less like chat, the less
    "goemotions train": 1.0,
    "ru-goemotions val+test": 1.5,
    "xed en": 0.4,
    "xed en neutral": 0.4,
    "xed ru": 0.6,
    "rt-polarity": 0.6,
    "pros_cons (8": 0.6,
    "written": 3.0,  # by hand, native in both languages
    "made": 0.4,  # from templates, much alike
}


class Row(NamedTuple):
    text: str
    label: int  # index into ``LABELS``
    language: str
    source: str


def labelled(folder: Path) -> list[Row]:
    """Every row of ``labelled.jsonl.gz`` in ``folder``."""
    path = folder / "labelled.jsonl.gz"
    if not path.exists():
        raise DataError(f"{path} is missing; --data names the folder with the labelled rows, see docs/sentiment.md")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [Row(row["text"], LABELS.index(row["label"]), row["lang"], row["source"]) for row in rows]


def part(text: str) -> str:
    """``"held out"``, ``"settings"`` or ``"training"``."""
    digest = sha256(" ".join(text.lower().split()).encode()).digest()
    return {0: "held out", 1: "settings"}.get(int.from_bytes(digest[:4], "big") % 10, "training")


def bare(text: str) -> str:
    """``text`` without case, spacing and the punctuation around it: equal for messages that say the same."""
    return " ".join(text.lower().replace("ё", "е").strip(" .!?").split())
