"""The engine's thread and the event loops that it tells."""

import time

from hypotez.engine.blocks import Blocks
from hypotez.engine.engine import EngineOptions, Said
from hypotez.engine.metrics import Metrics
from hypotez.engine.reply import Reply
from hypotez.engine.runner import TOGETHER_SECONDS, Job, Runner
from hypotez.engine.scheduler import Scheduler
from hypotez.engine.sequence import Sampling, Sequence


class Quick:
    """An engine of one sequence whose steps take a tenth of a millisecond."""

    def __init__(self):
        self.options, self.metrics = EngineOptions(prefix_cache=False), Metrics()
        self.scheduler = Scheduler(Blocks(2, 16))
        self.sequence = None

    @property
    def busy(self):
        return self.sequence is not None and self.sequence.finish is None

    def add(self, sequence, adapter):
        self.sequence = sequence

    def step(self):
        if not self.busy:
            return []
        time.sleep(0.0001)
        self.sequence.append(65)
        return [Said(self.sequence, 65, None)]


class Counting:
    """A mailbox that nobody reads: how many notes lay there at each ring."""

    def __init__(self):
        self.notes, self.rings = [], []

    def put(self, note):
        self.notes.append(note)

    def ring(self):
        self.rings.append(len(self.notes))


def test_quick_steps_wake_the_event_loop_together_the_first_and_the_last_at_once(chat):
    runner, mailbox = Runner(Quick(), "quick"), Counting()
    sequence = Sequence(list(range(1, 9)), Sampling(temperature=0, max_tokens=200, ignore_eos=True))
    begun = time.perf_counter()

    runner.submit(Job([sequence], [Reply(chat, 0, [], [])], mailbox))
    while sequence.finish is None or mailbox.rings[-1:] != [len(mailbox.notes)]:
        assert time.perf_counter() - begun < 60
        time.sleep(0.001)
    took = time.perf_counter() - begun
    runner.close()

    assert mailbox.rings[0] == 1
    assert mailbox.rings == sorted(set(mailbox.rings))
    assert len(mailbox.rings) <= took / TOGETHER_SECONDS + 2
