"""One conversation of the training text, and the pen that writes its wordings. Knows nothing of tokens.

A template may hold alternatives, `(What|Which city) is the capital of {x}?`; every sixth template of a list is kept out
of training and asked only in the evaluation, so that held-out accuracy is counted on wordings the model never saw.
"""

import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

ALTERNATIVES = re.compile(r"\(([^()]*)\)")
HELD_OUT_EVERY = 6

TOOLS_HEAD = "# Tools\n\nYou may call these functions:\n<tools>\n"
TOOLS_TAIL = (
    "\n</tools>\n\nTo call one, answer with:\n<tool_call>\n"
    '{"name": <function-name>, "arguments": <arguments-object>}\n</tool_call>'
)


@dataclass(frozen=True)
class Turn:
    """One message. `learned` is False for a reply that only sets the scene."""

    role: str
    content: str
    learned: bool = True


@dataclass(frozen=True)
class Conversation:
    """Turns ending with the assistant's reply; `expected` is what that reply must contain to be right."""

    kind: str
    language: str
    turns: tuple[Turn, ...]
    expected: str
    tools: tuple[Mapping[str, Any], ...] = ()
    cut: int | None = None  # keep only so many words of the last reply: its rest is the same every time
    weight: float = field(default=1.0)

    @property
    def question(self) -> str:
        """The last thing the user said."""
        return next(t.content for t in reversed(self.turns) if t.role != "assistant")


class Pen:
    """Random choices for one conversation: from the training wordings, or from the held-out ones."""

    def __init__(self, rng: random.Random, held_out: bool = False) -> None:
        self.rng = rng
        self.held_out = held_out

    def one(self, items: Sequence[Any]) -> Any:
        """One of the items, whatever they are."""
        return items[self.rng.randrange(len(items))]

    def chance(self, p: float) -> bool:
        """True with probability `p`."""
        return self.rng.random() < p

    def wording(self, templates: Sequence[str], **slots: object) -> str:
        """A template of the right side of the split, its alternatives chosen and its slots filled."""
        chosen = self.one(split(templates, self.held_out))
        return expand(chosen, self.rng).format(**slots)

    def seen(self, templates: Sequence[str], **slots: object) -> str:
        """The same from the training side always: for the turns that only set the scene."""
        return expand(self.one(split(templates, False)), self.rng).format(**slots)


def split(templates: Sequence[str], held_out: bool) -> Sequence[str]:
    """The training templates of a list, or those kept out of training; short lists are not split."""
    if len(templates) < HELD_OUT_EVERY:
        return templates
    return [t for i, t in enumerate(templates) if (i % HELD_OUT_EVERY == HELD_OUT_EVERY - 1) == held_out]


def expand(template: str, rng: random.Random) -> str:
    """Choose among `(a|b|c)`, innermost first; an empty alternative leaves no double space behind."""
    while found := ALTERNATIVES.search(template):
        choice = rng.choice(found.group(1).split("|"))
        template = template[: found.start()] + choice + template[found.end() :]
    return re.sub(r" +", " ", template).replace(" ?", "?").replace(" ,", ",").strip()


def normalised(text: str) -> str:
    """Letters and digits only, lower case: two texts with one normalised form are the same question."""
    return " ".join(re.findall(r"\w+", text.lower().replace("ё", "е")))


POLITE = {  # is it Russian -> what is put before a question, and after it
    False: (
        (
            "Hi!",
            "Hello,",
            "Please:",
            "Tell me:",
            "Sorry,",
            "So,",
            "Hey,",
            "One question:",
            "Quick question:",
            "Help me:",
        ),
        ("Thanks!", "Please.", "Thank you.", "I need it.", "Please answer."),
    ),
    True: (
        ("Привет!", "Здравствуйте,", "Скажите:", "Подскажите:", "Простите,", "Вопрос:", "Так,", "Помогите:", "Слушай,"),
        ("Спасибо!", "Пожалуйста.", "Заранее спасибо.", "Мне очень надо.", "Жду ответа."),
    ),
}


def casual(text: str, rng: random.Random) -> str:
    """The same question as people type it: now and then without capital letter, question mark or with a greeting."""
    roll = rng.random()
    if rng.random() < 0.1 and len(text) > 8:
        before, after = POLITE[re.search("[а-я]", text.lower()) is not None]
        polite, small = rng.choice(before), text[:1].lower() + text[1:]
        text = (
            f"{polite} {small if rng.random() < 0.5 else text}" if rng.random() < 0.7 else f"{text} {rng.choice(after)}"
        )
    if roll < 0.12:
        text = text.rstrip("?.!")
    if 0.06 < roll < 0.2:
        text = text[:1].lower() + text[1:]
    elif 0.2 < roll < 0.23:
        text = text.lower()
    elif 0.23 < roll < 0.25:
        text = text.upper() if len(text) < 40 else text
    elif 0.25 < roll < 0.27:
        text = text.rstrip("?.!") + rng.choice(("??", "?!", " ?", "..."))
    return text


def segments(conversation: Conversation) -> list[tuple[str, bool]]:
    """The conversation in ChatML, cut where the loss begins and ends: (text, is it learned).

    The same text as `text.template.CHATML` gives; a test holds the two together.
    """
    turns = list(conversation.turns)
    out: list[tuple[str, bool]] = []
    if conversation.tools:
        system = turns.pop(0).content + "\n\n" if turns[0].role == "system" else ""
        listed = "\n".join(json.dumps(t, ensure_ascii=False) for t in conversation.tools)
        out.append((f"<|im_start|>system\n{system}{TOOLS_HEAD}{listed}{TOOLS_TAIL}<|im_end|>\n", False))
    for i, turn in enumerate(turns):
        if turn.role == "tool":
            out.append((f"<|im_start|>user\n<tool_response>\n{turn.content}\n</tool_response><|im_end|>\n", False))
        elif turn.role != "assistant":
            out.append((f"<|im_start|>{turn.role}\n{turn.content}<|im_end|>\n", False))
        else:
            out.append(("<|im_start|>assistant\n", False))
            if conversation.cut is not None and i == len(turns) - 1:
                out.append((" ".join(turn.content.split(" ")[: conversation.cut]), turn.learned))
            else:
                out.append((turn.content + "<|im_end|>", turn.learned))
                out.append(("\n", False))
    return out


Lesson = Callable[[Pen, str], Conversation]
"""A lesson writes one conversation in the language asked for, `en` or `ru`."""


def ask(kind: str, language: str, question: str, reply: str, expected: str, pen: Pen) -> Conversation:
    """The plainest conversation: one question, one reply."""
    turns = (Turn("user", casual(question, pen.rng)), Turn("assistant", reply))
    return Conversation(kind, language, turns, expected)
