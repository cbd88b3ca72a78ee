"""How often each lesson is given, how lessons are joined into dialogues, what is never given. Knows no tokens."""

import csv
import functools
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from hypotez.pocket.conversation import Conversation, Lesson, Pen, Turn, normalised
from hypotez.pocket.lessons import (
    arithmetic,
    calendar,
    chemistry,
    geography,
    memory,
    refusals,
    service,
    smalltalk,
    tools,
    vocabulary,
)

# share of the conversations, by lesson; Russian gets RUSSIAN of each
LESSONS: dict[Lesson, float] = {
    geography.capital: 9, geography.country: 6, geography.currency: 5, geography.spoken: 5, geography.continent: 3,
    chemistry.symbol: 4.5, chemistry.number: 5, chemistry.by_symbol: 4.5, chemistry.by_number: 5,
    arithmetic.sums: 9, arithmetic.words: 3, calendar.calendar: 2.5, calendar.units: 1.8,
    vocabulary.opposite: 3, vocabulary.definition: 2, vocabulary.translation: 3,
    smalltalk.smalltalk: 3.5, refusals.outside: 7, refusals.invented: 5,
    service.from_system: 7, service.told_before: 2.5, service.asked_again: 3.5, service.untold: 7, service.compare: 6,
    memory.about_me: 3, memory.small_world: 4, memory.repeat: 1.5, tools.tool: 1.2,
}  # fmt: skip
RUSSIAN = 0.4
# The second half has more of what is learnt slowly, finding and copying what was told; then come many sums; and at
# last what was still weak when all that was learnt.
SECOND_HALF: dict[Lesson, float] = LESSONS | {
    geography.capital: 8, geography.country: 6, geography.currency: 4.5, geography.spoken: 4.5,
    chemistry.number: 4, chemistry.by_number: 4, arithmetic.sums: 15, arithmetic.words: 4, service.from_system: 13,
    service.told_before: 4, service.asked_again: 6, memory.about_me: 4, memory.small_world: 8, tools.tool: 2.5,
}  # fmt: skip
LAST: dict[Lesson, float] = SECOND_HALF | {
    geography.continent: 6, arithmetic.sums: 24, calendar.calendar: 16, calendar.units: 7, vocabulary.opposite: 6,
    vocabulary.definition: 4, vocabulary.translation: 6, refusals.invented: 14, service.from_system: 26,
    service.told_before: 7, memory.small_world: 12,
}  # fmt: skip
PHASES = ((0.0, LESSONS), (0.5, SECOND_HALF), (0.87, SECOND_HALF | {arithmetic.sums: 120}), (0.93, LAST))
"""From which share of the training on -> which shares of the lessons."""

PERSONA = {
    "en": [
        "You are a helpful assistant.", "You are an assistant.", "Answer briefly.", "Be polite.",
        "You are a friendly bot.", "Answer the question.", "You are a helpful and honest AI.", "You answer questions.",
        "You are a code assistant.", "You are {w}.", "Reply in one sentence.",
    ],
    "ru": [
        "Ты полезный помощник.", "Ты помощник.", "Отвечай кратко.", "Будь вежлив.", "Отвечай на вопрос.",
        "Ты дружелюбный бот.", "Отвечай по-русски.",
    ],
}  # fmt: skip


@functools.cache
def forbidden() -> frozenset[str]:
    """The demo's questions and answers, normalised: no conversation may hold one of them."""
    out = set()
    for path in sorted((Path(__file__).parents[3] / "examples").glob("shop*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.reader(file):
                out |= {normalised(cell) for cell in row}
    return frozenset(out)


def draw(pen: Pen, shares: dict[Lesson, float]) -> Conversation:
    """One lesson, chosen by its share; written again when it holds a sentence of the demo."""
    language = "ru" if pen.chance(RUSSIAN) else "en"
    lesson = pen.rng.choices(list(shares), list(shares.values()))[0]
    conversation = lesson(pen, language)
    if any(normalised(t.content) in forbidden() for t in conversation.turns):
        return draw(pen, shares)
    return conversation


def stream(seed: int, progress: Callable[[], float] = lambda: 0.0) -> Iterator[Conversation]:
    """Conversations without end: single lessons, joined ones, some under a system message that tells nothing."""
    pen = Pen(random.Random(seed))
    while True:
        done = progress()
        shares = next(shares for begin, shares in reversed(PHASES) if done >= begin)
        conversation = draw(pen, shares)
        while pen.chance(0.25):
            conversation = joined(conversation, draw(pen, shares))
        if pen.chance(0.15) and conversation.turns[0].role != "system" and not conversation.tools:
            persona = Turn(
                "system",
                pen.one(PERSONA[conversation.language]).format(w=pen.one(("Max", "Ada", "a teacher", "a guide"))),
            )
            conversation = replace(conversation, turns=(persona, *conversation.turns))
        yield conversation


def joined(first: Conversation, second: Conversation) -> Conversation:
    """Two conversations one after the other, where the second brings no system message or tools of its own."""
    alone = second.tools or second.turns[0].role == "system" or first.tools or second.kind == "what I told you"
    closed = first.cut is not None or (first.turns[0].role == "system" and second.kind == "shop without facts")
    if alone or closed or sum(len(t.content) for t in first.turns) > 500:
        return first
    return replace(second, turns=(*first.turns, *second.turns))
