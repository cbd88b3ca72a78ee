"""The labelled rows, and which of them may be looked at.

A row's part depends on its text alone: one in ten is held out (never trained on, never used to choose a setting), one
in ten is for choosing settings, the rest is for training. Two rows with one text fall into one part.
"""

import gzip
import json
import re
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from hypotez.errors import DataError
from hypotez.sentiment.classifier import LABELS

WEIGHT = {  # what a row of each source counts: the less like chat, the less
    "goemotions train": 1.0,
    "ru-goemotions val+test": 2.5,
    "xed en": 1.0,
    "xed en neutral": 1.0,
    "xed ru": 0.8,
    "rt-polarity": 0.8,
    "pros_cons (8": 0.8,
    "written": 3.0,  # by hand, native in both languages
    "made en": 0.3,  # from templates, much alike
    "made ru": 0.6,  # the same, where little else is native
}


_CLOSING = re.compile(r" +([.,!?;:)\]…]|n't\b|'(?:s|re|ve|ll|d|m)\b)")
_OPENING = re.compile(r"([(\[]) +")


class Row(NamedTuple):
    text: str
    label: int  # index into ``LABELS``
    language: str
    source: str
    part: str = "training"


def labelled(folder: Path, *, mended: bool = True) -> list[Row]:
    """Every row of ``labelled.jsonl.gz`` in ``folder``, its words and stops put together as people write them.

    Film subtitles with a feeling came with a space before every stop, those without came without: whoever is left to
    see the spaces learns to tell the files apart, not the feelings. With ``mended`` false the texts are as they came.
    """
    path = folder / "labelled.jsonl.gz"
    if not path.exists():
        raise DataError(f"{path} is missing; --data names the folder with the labelled rows, see docs/sentiment.md")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [
        Row(
            _together(row["text"]) if mended else row["text"],
            LABELS.index(row["label"]),
            row["lang"],
            row["source"],
            part(row["text"]),
        )
        for row in rows
    ]


def _together(text: str) -> str:
    text = _OPENING.sub(r"\1", _CLOSING.sub(r"\1", text))
    return " ".join(text.split())


def part(text: str) -> str:
    """``"held out"``, ``"settings"`` or ``"training"``."""
    digest = sha256(" ".join(text.lower().split()).encode()).digest()
    return {0: "held out", 1: "settings"}.get(int.from_bytes(digest[:4], "big") % 10, "training")


def bare(text: str) -> str:
    """``text`` without case, spacing and the punctuation around it: equal for messages that say the same."""
    return " ".join(text.lower().replace("ё", "е").strip(" .!?").split())
