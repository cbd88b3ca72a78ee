"""Customers' questions: answered from facts told in this very conversation, refused where nobody told any.

This is what makes the model quick to fine-tune on a shop of its own: it has learnt which wordings ask for the same thing, and that the
answer is whatever it was told, without ever having seen one fact twice.
"""

import functools

from hypotez.pocket.conversation import Conversation, Pen, Turn, casual
from hypotez.pocket.facts import service_en, service_ru
from hypotez.pocket.lessons import fill
from hypotez.pocket.lessons.geography import upper
from hypotez.pocket.lessons.refusals import refuse

SYSTEM = {
    "en": ["You are the assistant of {w}, a {place}. Facts:", "You answer customers of the {place} {w}.", "Answer from these facts:", "Facts about {w}:", "You work for {w}. Use only this:",
           "You are a helpful assistant of the {place} {w}. What you know:", "Information:"],
    "ru": ["Ты помощник магазина {w}. Факты:", "Отвечай по этим фактам:", "Сведения о магазине {w}:", "Ты отвечаешь покупателям. Известно:", "Информация:"],
}  # fmt: skip
TELL = {
    "en": [
        "Remember: {f}",
        "Please note: {f}",
        "{f} Please remember it.",
        "Note this. {f}",
        "You should know: {f}",
        "For your information: {f}",
    ],
    "ru": ["Запомни: {f}", "Учти: {f}", "{f} Запомни это.", "Имей в виду: {f}", "К сведению: {f}"],
}
NOTED = {"en": "Noted.", "ru": "Запомнил."}
MISSING = {"en": "I have no information about that ({topic}).", "ru": "У меня нет сведений об этом ({topic})."}
SAME = {
    "en": ["Do these two questions ask the same thing? 1) {a} 2) {b}", 'Is "{a}" the same question as "{b}"?', "Same question or not: {a} / {b}", "Do {a} and {b} mean the same?"],
    "ru": ["Это один и тот же вопрос? 1) {a} 2) {b}", "Одинаковы ли вопросы: {a} / {b}", "Спрашивают ли об одном: «{a}» и «{b}»?"],
}  # fmt: skip
YES_NO = {"en": ("Yes, both ask about this: {a}.", "No. The first asks about this: {a}; the second about this: {b}."),
          "ru": ("Да, оба вопроса про {a}.", "Нет. Первый вопрос про {a}, второй про {b}.")}  # fmt: skip
ABOUT = {
    "en": [
        "What is this question about: {a}",
        "What does the customer want to know? {a}",
        "Name the topic: {a}",
        'Topic of "{a}"?',
    ],
    "ru": ["О чём этот вопрос: {a}", "Что хочет узнать покупатель? {a}", "Назови тему: {a}"],
}
TOPIC = {"en": "Topic: {a}.", "ru": "Тема: {a}."}
REPHRASE = {
    "en": ["Rephrase: {a}", "Say it in other words: {a}", "Ask this differently: {a}", "Another wording, please: {a}"],
    "ru": ["Перефразируй: {a}", "Скажи иначе: {a}", "Спроси другими словами: {a}"],
}

Intent = tuple[str, list[str], list[str]]


@functools.cache
def intents(language: str) -> tuple[Intent, ...]:
    """(topic, facts, questions) of every row of the table."""
    table = service_en.SERVICE if language == "en" else service_ru.SERVICE
    rows = (line.split(" | ", 2) for line in table.strip().splitlines())
    return tuple((topic, facts.split(" / "), questions.split(" / ")) for topic, facts, questions in rows)


class Scene:
    """A place with random facts about some topics, for one conversation."""

    def __init__(self, pen: Pen, language: str, count: int) -> None:
        self.pen, self.language = pen, language
        self.place = pen.one(fill.PLACES[language])
        self.slots = fill.fillers(pen.rng, language, self.place)
        self.topics: list[Intent] = pen.rng.sample(intents(language), count)
        self.facts = {topic: self._fact(facts) for topic, facts, _ in self.topics}

    def _fact(self, facts: list[str]) -> str:
        # drawn anew for every fact, so that two facts of one place share no number
        drawn = fill.fillers(self.pen.rng, self.language, self.place) | {
            "prod": self.slots["prod"],
            "an": self.slots["an"],
        }
        return upper(self.pen.one(facts).format(**drawn)).removesuffix(".") + "."

    def question(self, intent: Intent, seen: bool = False) -> str:
        """A wording of the intent's question; the product is the one the facts speak of."""
        write = self.pen.seen if seen else self.pen.wording
        return upper(write(intent[2], **self.slots))


def from_system(pen: Pen, language: str) -> Conversation:
    """Facts in the system message, one to three questions about them, now and then one that nothing was told about."""
    scene = Scene(pen, language, pen.rng.randint(2, 9))
    asked = pen.rng.sample(scene.topics, min(len(scene.topics), pen.rng.choice((1, 1, 2, 3))))
    told = dict(scene.facts)
    missing = pen.chance(0.18)
    if missing:
        told.pop(asked[-1][0])
    bullet = pen.one(("- ", "* ", ""))
    head = pen.one(SYSTEM[language]).format(**scene.slots)
    joiner = "\n" if bullet or pen.chance(0.5) else " "
    turns = [Turn("system", head + joiner + joiner.join(bullet + f for f in told.values()))]
    if pen.chance(0.15):
        turns = [Turn("user", turns[0].content), Turn("assistant", NOTED[language])]
    for intent in asked:
        turns.append(Turn("user", casual(scene.question(intent), pen.rng)))
        turns.append(Turn("assistant", told.get(intent[0]) or MISSING[language].format(topic=intent[0])))
    kind = "fact not given" if missing else "facts in system message"
    return Conversation(kind, language, tuple(turns), turns[-1].content.rstrip("."))


def told_before(pen: Pen, language: str) -> Conversation:
    """The user tells facts one by one, then asks."""
    scene = Scene(pen, language, pen.rng.randint(1, 4))
    turns: list[Turn] = []
    for fact in scene.facts.values():
        turns += [Turn("user", pen.one(TELL[language]).format(f=fact)), Turn("assistant", NOTED[language])]
    intent = pen.one(scene.topics)
    turns += [Turn("user", casual(scene.question(intent), pen.rng)), Turn("assistant", scene.facts[intent[0]])]
    return Conversation("facts told before", language, tuple(turns), scene.facts[intent[0]].rstrip("."))


def asked_again(pen: Pen, language: str) -> Conversation:
    """Questions and answers, then one of the questions in another wording: the same answer again."""
    scene = Scene(pen, language, pen.rng.randint(2, 6))
    turns: list[Turn] = []
    for intent in scene.topics:
        turns += [
            Turn("user", scene.question(intent, seen=True)),
            Turn("assistant", scene.facts[intent[0]], learned=False),
        ]
    for intent in pen.rng.sample(scene.topics, min(2, len(scene.topics))):
        turns += [Turn("user", casual(scene.question(intent), pen.rng)), Turn("assistant", scene.facts[intent[0]])]
    return Conversation("asked again", language, tuple(turns), turns[-1].content.rstrip("."))


def untold(pen: Pen, language: str) -> Conversation:
    """A customer's question when nobody told any fact: an honest refusal that names the topic."""
    scene = Scene(pen, language, 1)
    return refuse("shop without facts", language, scene.question(scene.topics[0]), scene.topics[0][0], pen)


def compare(pen: Pen, language: str) -> Conversation:
    """Same question or not; what it is about; another wording of it."""
    scene = Scene(pen, language, 2)
    first, second = scene.topics
    a = scene.question(first)
    roll = pen.rng.random()
    if roll < 0.45:
        same = pen.chance(0.5)
        b = scene.question(first if same else second)
        reply = YES_NO[language][0 if same else 1].format(a=first[0], b=second[0])
        return _one("same question", language, pen.one(SAME[language]).format(a=a, b=b), reply, reply.rstrip("."))
    if roll < 0.75 or pen.held_out:
        reply = TOPIC[language].format(a=first[0])
        return _one("topic", language, pen.one(ABOUT[language]).format(a=a), reply, first[0])
    b = scene.question(first, seen=True)
    return _one("rephrase", language, pen.one(REPHRASE[language]).format(a=a), b, b)


def _one(kind: str, language: str, question: str, reply: str, expected: str) -> Conversation:
    return Conversation(kind, language, (Turn("user", question), Turn("assistant", reply)), expected)
