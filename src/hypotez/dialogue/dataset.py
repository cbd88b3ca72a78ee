"""From dialogues to training examples: what was good is shown, what was bad is shown as bad. Pure.

Each answer has a verdict: its mark if it has one, else its sentiment. ``better=`` gives an answer a correction.

* ``dpo``: pairs. A corrected answer with its correction; a bad answer with a good one to the same question.
* ``kto``: everything, labelled. Good answers and corrections are desirable, bad ones are not.
* ``supervised``: good answers, and corrections in place of what they correct.

With no method asked for: ``kto`` when some bad answer has nothing better beside it, else ``dpo`` when there are
pairs, else ``supervised``. Answers marked ``exclude`` and answers that were broken off are left out.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from hypotez.dialogue.saved import Dialogue

Json = dict[str, Any]

MARKS = ("positive", "negative", "neutral", "exclude")
_FEWEST_DIALOGUES = 4  # below, holding one out would cost more than it tells


@dataclass(frozen=True, slots=True)
class Exchange:
    """One answer with everything that came before it, the question last."""

    dialogue: str
    prompt: tuple[Json, ...]
    reply: str
    good: bool
    better: str | None = None

    @property
    def question(self) -> str:
        return str(self.prompt[-1]["content"])

    @property
    def key(self) -> str:
        return json.dumps(self.prompt, sort_keys=True)


@dataclass(frozen=True, slots=True)
class Dataset:
    """Lines of a training file for ``method``; ``unused`` counts the exchanges the method has no place for."""

    method: str
    examples: list[Json]
    unused: int


def exchanges(dialogues: Iterable[Dialogue]) -> list[Exchange]:
    """Every answer of the dialogues that may be learnt from, each question and answer once (the latest verdict)."""
    found: dict[tuple[str, str], Exchange] = {}
    for dialogue in dialogues:
        for exchange in _of(dialogue):
            found[exchange.key, exchange.reply] = exchange
    return list(found.values())


def split(found: Sequence[Exchange], share: float) -> tuple[list[Exchange], list[Exchange]]:
    """Those to learn from and those held out: whole dialogues, always the same ones for the same names."""
    names = sorted({exchange.dialogue for exchange in found}, key=lambda name: sha256(name.encode()).digest())
    n = 0 if len(names) < _FEWEST_DIALOGUES or share <= 0 else max(1, round(share * len(names)))
    held = set(names[:n])
    known = {exchange.key for exchange in found if exchange.dialogue not in held}
    return (
        [exchange for exchange in found if exchange.dialogue not in held],
        [exchange for exchange in found if exchange.dialogue in held and exchange.key not in known],
    )


def dataset(found: Sequence[Exchange], method: str | None = None) -> Dataset:
    """The examples these exchanges make."""
    rivals = _rivals(found)
    method = method or _method(found, rivals)
    if method == "dpo":
        judged_bad = {each.key for each in found if not each.good}
        unused = sum(each.key not in judged_bad if each.good else not _better(each, rivals) for each in found)
        return Dataset(method, list(_pairs(found, rivals)), unused)
    if method == "kto":
        return Dataset(method, list(_judged(found)), 0)
    return Dataset(method, list(_shown(found)), sum(not each.good and not each.better for each in found))


def repeated(examples: list[Json], minimum: int) -> list[Json]:
    """The examples, over and over until there are as many as a job asks for."""
    return [examples[i % len(examples)] for i in range(max(minimum, len(examples)))] if examples else []


def _of(dialogue: Dialogue) -> Iterator[Exchange]:
    system, said = "", list[Json]()
    for entry in dialogue.entries:
        role, content = entry.get("role"), entry.get("content")
        if role == "system":
            system = str(content or "")
        elif role == "user":
            said.append({"role": "user", "content": content})
        elif role == "assistant" and said and said[-1]["role"] == "user":
            earlier = said[-1 - int(entry.get("history") or 0) : -1]
            opening = [{"role": "system", "content": system}] if system else []
            exchange = _judge(dialogue.name, (*opening, *earlier, said[-1]), entry)
            if exchange is not None:
                yield exchange
            said.append({"role": "assistant", "content": content})
            system = ""  # an exchange without a system entry had none


def _judge(name: str, prompt: tuple[Json, ...], entry: Json) -> Exchange | None:
    mark, better = entry.get("mark"), entry.get("better")
    reply, asked = entry.get("content"), prompt[-1]["content"]
    if mark == "exclude" or (entry.get("partial") and not better) or not isinstance(asked, str):
        return None
    if not isinstance(reply, str) or not reply.strip() or not asked.strip():
        return None
    good = (mark or entry.get("sentiment") or "neutral") != "negative" and not better
    return Exchange(name, prompt, reply, good, better or None)


def _method(found: Sequence[Exchange], rivals: Mapping[str, list[str]]) -> str:
    bad = [each for each in found if not each.good]
    if any(not _better(each, rivals) for each in bad):
        return "kto"
    return "dpo" if bad else "supervised"


def _rivals(found: Sequence[Exchange]) -> dict[str, list[str]]:
    """The good answers to each question."""
    answers: dict[str, list[str]] = {}
    for each in found:
        if each.good:
            answers.setdefault(each.key, []).append(each.reply)
    return answers


def _better(bad: Exchange, rivals: Mapping[str, list[str]]) -> list[str]:
    """What should have been said instead: the correction, else the good answers to the same question."""
    return [bad.better] if bad.better else rivals.get(bad.key, [])


def _pairs(found: Sequence[Exchange], rivals: Mapping[str, list[str]]) -> Iterator[Json]:
    for each in found:
        for better in [] if each.good else _better(each, rivals):
            yield {
                "input": {"messages": list(each.prompt)},
                "preferred_output": [_answer(better)],
                "non_preferred_output": [_answer(each.reply)],
            }


def _judged(found: Sequence[Exchange]) -> Iterator[Json]:
    for each in found:
        yield {"messages": [*each.prompt, _answer(each.reply)], "label": each.good}
        if each.better:
            yield {"messages": [*each.prompt, _answer(each.better)], "label": True}


def _shown(found: Sequence[Exchange]) -> Iterator[Json]:
    for each in found:
        if each.good or each.better:
            yield {"messages": [*each.prompt, _answer(each.better or each.reply)]}


def _answer(text: str | None) -> Json:
    return {"role": "assistant", "content": text}
