"""Which sequences are computed in the next step, and how many tokens of each. No torch.

Continuous batching: a sequence joins as soon as there is room and leaves when it is finished. Every step
takes all that are writing, then spends a budget of prompt tokens on those still reading. Half of it is for the
one that has waited longest, whoever comes; the rest goes to those that need least, so that a long prompt delays
neither the streams nor the short prompts behind it. Few prompts at a time: each costs attention calls of its own,
and of 32 that come together most have their first token sooner than if all were read at one pace.
"""

from collections import deque
from dataclasses import dataclass

from hypotez.engine.blocks import Blocks, digests
from hypotez.engine.sequence import Sequence
from hypotez.errors import Overloaded


@dataclass(frozen=True, slots=True)
class Part:
    """Compute ``count`` tokens of the sequence from ``start``; ``last`` when a token is to be chosen after it."""

    sequence: Sequence
    start: int
    count: int
    last: bool


class Scheduler:
    def __init__(self, blocks: Blocks, max_batch: int = 32, max_queue: int = 256, prefill_tokens: int = 256) -> None:
        self.blocks = blocks
        self.max_batch, self.max_queue, self.prefill_tokens = max_batch, max_queue, prefill_tokens
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []

    def add(self, sequence: Sequence, retry_after: float = 1.0) -> None:
        """Raises ``Overloaded`` when the queue is full."""
        if len(self.waiting) >= self.max_queue:
            raise Overloaded(
                f"{len(self.waiting)} requests are waiting for this model already; try again in {retry_after:.0f} s.",
                retry_after=retry_after,
            )
        self.waiting.append(sequence)

    def schedule(self) -> list[Part]:
        """The next step's parts, those that write before those that read; empty when there is nothing to do."""
        self._admit()
        writing = [s for s in self.running if not s.prefilling]
        reading = [s for s in self.running if s.prefilling]
        parts = [Part(s, s.computed, 1, True) for s in writing if self._grow(s, len(s.tokens))]
        for sequence, count in _shares(reading, self.prefill_tokens):
            end = sequence.computed + count
            if self._grow(sequence, end):
                parts.append(Part(sequence, sequence.computed, count, end == len(sequence.tokens)))
        # Making room for one may have sent another back to the queue.
        return [part for part in parts if part.sequence.admitted]

    def computed(self, parts: list[Part]) -> None:
        """The step is done: full blocks get their names."""
        size = self.blocks.size
        for part in parts:
            s = part.sequence
            before, s.computed = s.computed, part.start + part.count
            if s.computed // size > before // size:
                s.digests = digests(s.tokens, size, s.owner, s.digests)
                for i in range(before // size, s.computed // size):
                    self.blocks.name(s.blocks[i], s.digests[i])

    def remove(self, sequence: Sequence) -> None:
        """Finished or cancelled: its blocks are free at once."""
        if sequence in self.running:
            self.running.remove(sequence)
        elif sequence in self.waiting:
            self.waiting.remove(sequence)
        self._release(sequence)

    def _admit(self) -> None:
        blocks = self.blocks
        promised = sum(max(blocks.needed(len(s.tokens) + 1) - len(s.blocks), 0) for s in self.running)
        while self.waiting and len(self.running) < self.max_batch:
            s = self.waiting[0]
            s.digests = digests(s.tokens, blocks.size, s.owner, s.digests)
            # At least one token must be computed: its logits choose the next.
            found = blocks.find(s.digests[: (len(s.tokens) - 1) // blocks.size])
            wanted = blocks.needed(len(s.tokens) + 1) - len(found)
            if wanted > blocks.free - promised and self.running:
                blocks.release(found)
                return  # in order of arrival: nobody behind it may overtake it
            promised += wanted
            self.waiting.popleft()
            s.blocks = found
            s.computed = len(found) * blocks.size
            s.cached = max(s.cached, min(s.computed, s.prompt_length))
            s.admitted = True
            self.running.append(s)

    def _grow(self, sequence: Sequence, tokens: int) -> bool:
        """Blocks for so many tokens, taken from the latest arrival if need be; False if it lost its own."""
        while sequence.admitted and len(sequence.blocks) * self.blocks.size < tokens:
            if self.blocks.free == 0:
                self._preempt(self.running[-1])
            else:
                sequence.blocks.append(self.blocks.take())
        return sequence.admitted

    def _preempt(self, sequence: Sequence) -> None:
        """Back to the head of the queue; what it has written is read again later, mostly from the prefix cache."""
        self.running.remove(sequence)
        self._release(sequence)
        self.waiting.appendleft(sequence)

    def _release(self, sequence: Sequence) -> None:
        self.blocks.release(sequence.blocks)
        sequence.blocks, sequence.computed, sequence.admitted = [], 0, False


def _shares(reading: list[Sequence], budget: int) -> list[tuple[Sequence, int]]:
    """How many prompt tokens of whom, at most ``budget`` together; ``reading`` is in order of arrival."""
    left = {sequence: len(sequence.tokens) - sequence.computed for sequence in reading}
    given: dict[Sequence, int] = {}
    if reading:
        given[reading[0]] = min(left[reading[0]], -(-budget // 2))
        budget -= given[reading[0]]
    for sequence in sorted(reading, key=left.__getitem__):
        more = min(left[sequence] - given.get(sequence, 0), budget)
        given[sequence] = given.get(sequence, 0) + more
        budget -= more
    return [(sequence, count) for sequence, count in given.items() if count]
