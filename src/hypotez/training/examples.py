"""Training files (JSON lines) to token ids, held compactly: four bytes a token and one for whether it is learnt.

An example is one or two sequences: a conversation (supervised, KTO) or a better and a worse ending of one (DPO); for
reinforcement it is a prompt alone, kept as it was written.
Knows no torch and no loss. The server has checked the file before; what is wrong all the same is a ``DataError``.
"""

import json
import random
from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import Any, Protocol

from hypotez.errors import DataError, Fault, HypotezError

Json = dict[str, Any]


class Encoder(Protocol):
    """What is needed of ``hypotez.text.Chat``."""

    def train_example(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] | None = None
    ) -> tuple[list[int], list[bool]]: ...

    def encode(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] | None = None
    ) -> list[int]: ...


@dataclass(frozen=True, slots=True)
class Tokens:
    """One sequence. ``start`` is the first learnt token: what stands before it is the prompt."""

    ids: list[int]
    mask: list[bool]

    @property
    def start(self) -> int:
        return self.mask.index(True)

    @property
    def learnt(self) -> int:
        return sum(self.mask)


class Examples:
    """Sequences end to end in flat arrays; ``labels`` has one bool per example for KTO and is empty otherwise."""

    def __init__(self, per_example: int = 1) -> None:
        self.per_example = per_example
        self.labels: list[bool] = []
        self.cut = 0  # examples that were longer than the limit
        self.left_out = 0  # examples with nothing to learn (every weight 0, or cut before the reply)
        self._ids, self._mask, self._ends = array("i"), bytearray(), array("q", [0])

    def __len__(self) -> int:
        return (len(self._ends) - 1) // self.per_example

    def __getitem__(self, example: int) -> list[Tokens]:
        first = example * self.per_example
        return [self._sequence(i) for i in range(first, first + self.per_example)]

    @property
    def tokens(self) -> int:
        return len(self._ids)

    def length(self, example: int) -> int:
        """Tokens in all the example's sequences."""
        first = example * self.per_example
        return self._ends[first + self.per_example] - self._ends[first]

    def learnt(self, example: int) -> int:
        """Learnt tokens of its first sequence: the one to be given, where there are two."""
        first = example * self.per_example
        return sum(self._mask[self._ends[first] : self._ends[first + 1]])

    def append(self, sequences: Sequence[tuple[list[int], list[bool]]], limit: int) -> bool:
        """Add one example, each sequence cut after ``limit`` tokens; False where nothing is left to learn."""
        self.cut += any(len(ids) > limit for ids, _ in sequences)
        # the first token is never predicted, so it cannot be learnt
        cut = [(ids[:limit], [False, *mask[1:limit]]) for ids, mask in sequences]
        if not all(any(mask) for _, mask in cut):
            self.left_out += 1
            return False
        for ids, mask in cut:
            self._ids.extend(ids)
            self._mask.extend(mask)
            self._ends.append(len(self._ids))
        return True

    def _sequence(self, i: int) -> Tokens:
        start, stop = self._ends[i], self._ends[i + 1]
        return Tokens(self._ids[start:stop].tolist(), [bool(m) for m in self._mask[start:stop]])


class Thinned(Examples):
    """The same examples with a ``share`` of the prompts' tokens left out, others for every ``seed``.

    A small model that sees three wordings of a question learns to look for one word of it; so it has to look for all.
    What is learnt, the first token and the tokens in ``kept`` (the template's marks) stay.
    """

    def __init__(self, whole: Examples, share: float, seed: int, kept: Collection[int]) -> None:
        super().__init__(whole.per_example)
        self.labels, self._ids, self._mask, self._ends = whole.labels, whole._ids, whole._mask, whole._ends
        self._share, self._seed, self._kept = share, seed, kept

    def _sequence(self, i: int) -> Tokens:
        whole, drawn = super()._sequence(i), random.Random(self._seed * 1_000_003 + i)
        stays = [
            learnt or at == 0 or token in self._kept or drawn.random() >= self._share
            for at, (token, learnt) in enumerate(zip(whole.ids, whole.mask, strict=True))
        ]
        return Tokens(list(compress(whole.ids, stays)), list(compress(whole.mask, stays)))


def read_conversations(path: Path, chat: Encoder, limit: int) -> Examples:
    """Supervised: ``{"messages": [...], "tools": [...]}``; every assistant message is learnt unless its weight is 0."""
    examples = Examples()
    for n, row in _rows(path):
        examples.append([_encode(path, n, chat, _field(path, n, row, "messages"), row)], limit)
    return _some(path, examples)


def read_pairs(path: Path, chat: Encoder, limit: int) -> Examples:
    """DPO, in the guide's spelling (``preferred_output``) or the older one (``preferred_completion``)."""
    examples = Examples(per_example=2)
    for n, row in _rows(path):
        given = _field(path, n, row, "input")
        prompt = _context(_field(path, n, given, "messages"))
        better = _field(path, n, row, "preferred_output", "preferred_completion")
        worse = _field(path, n, row, "non_preferred_output", "non_preferred_completion")
        examples.append(
            [_encode(path, n, chat, [*prompt, *_context(reply, 1)], given) for reply in (better, worse)], limit
        )
    return _some(path, examples)


def read_judged(path: Path, chat: Encoder, limit: int) -> Examples:
    """KTO: ``{"messages": [..., assistant], "label": true}``; only the last message is learnt."""
    examples = Examples()
    for n, row in _rows(path):
        messages, label = _field(path, n, row, "messages"), _field(path, n, row, "label")
        if not isinstance(label, bool):
            raise _fault(path, n, "label", f"is {label!r}; it must be true (say such things) or false (do not)")
        if not messages or messages[-1].get("role") != "assistant":
            raise _fault(path, n, "messages", "must end with the assistant message that is judged")
        learnt = [*_context(messages[:-1]), *_context(messages[-1:], 1)]
        if examples.append([_encode(path, n, chat, learnt, row)], limit):
            examples.labels.append(label)
    return _some(path, examples)


class Prompts(Examples):
    """Reinforcement: what is asked, with the fields that its grader reads. The replies are drawn while training."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[Json] = []

    def __len__(self) -> int:
        return len(self.rows)


def read_prompts(path: Path, chat: Encoder, limit: int) -> Prompts:
    """Reinforcement: ``{"messages": [..., user], "tools": [...], any other field}``; no reply stands there."""
    prompts = Prompts()
    for n, row in _rows(path):
        messages = _field(path, n, row, "messages")
        if not messages or messages[-1].get("role") == "assistant":
            raise _fault(path, n, "messages", "must end with the message that is to be answered")
        try:
            length = len(chat.encode(messages, row.get("tools")))
        except HypotezError as exc:
            raise _fault(path, n, "messages", str(exc)) from exc
        if length < limit:
            prompts.rows.append(row)
        else:
            prompts.left_out += 1
    if not prompts.rows:
        raise _fault(path, 0, None, f"holds no prompt of less than {limit} tokens")
    return prompts


def _context(messages: Sequence[Json], weight: int = 0) -> list[Json]:
    """The messages with the assistant's ones weighed: 0 is read, 1 is learnt."""
    return [{**m, "weight": weight} if m.get("role") == "assistant" else m for m in messages]


def _encode(
    path: Path, n: int, chat: Encoder, messages: Sequence[Json], row: Mapping[str, Any]
) -> tuple[list[int], list[bool]]:
    tools = row.get("tools")
    if tools is None and (functions := row.get("functions")):  # the older spelling of the same
        tools = [{"type": "function", "function": function} for function in functions]
    try:
        return chat.train_example(messages, tools)
    except DataError as exc:
        raise _fault(path, n, "messages", str(exc)) from exc


def _rows(path: Path) -> Iterator[tuple[int, Json]]:
    with path.open(encoding="utf-8-sig") as lines:
        for n, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as exc:
                raise _fault(path, n, None, f"is not JSON: {exc}") from exc
            if not isinstance(row, dict):
                raise _fault(path, n, None, "is not a JSON object")
            yield n, row


def _field(path: Path, n: int, row: Mapping[str, Any], *names: str) -> Any:
    for name in names:
        if name in row:
            return row[name]
    raise _fault(path, n, names[0], "is missing")


def _some(path: Path, examples: Examples) -> Examples:
    if not len(examples):
        raise _fault(path, 0, None, "holds no example with a reply to learn")
    return examples


def _fault(path: Path, n: int, field: str | None, message: str) -> DataError:
    fault = Fault(path.name, n, field, message)
    return DataError(str(fault), faults=[fault], param="training_file")
