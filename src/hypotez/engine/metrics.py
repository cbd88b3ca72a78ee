"""What the engine counts, as plain numbers. Whoever serves ``/metrics`` reads them; nobody here prints them."""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

FIRST_TOKEN_BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # seconds

_GAUGES = frozenset(
    ("waiting", "running", "max_batch", "kv_blocks", "kv_blocks_used", "adapters", "adapter_slots", "tokens_per_second")
)


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many of the values seen were at most each bound; Prometheus' own shape."""

    buckets: Mapping[float, int]  # upper bound: values up to it, each holding those of the ones before
    count: int
    sum: float


@dataclass(slots=True)
class Metrics:
    """Counters grow for ever; the others are as of the last step."""

    max_batch: int = 0
    requests: int = 0
    finished: int = 0
    cancelled: int = 0
    refused: int = 0  # the queue was full
    steps: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0  # of the prompt tokens, those found in the prefix cache
    output_tokens: int = 0
    waiting: int = 0
    running: int = 0
    kv_blocks: int = 0
    kv_blocks_used: int = 0
    adapters: int = 0
    adapter_slots: int = 0
    adapter_loads: int = 0
    busy_seconds: float = 0.0  # spent computing
    tokens_per_second: float = 0.0  # output while computing, a moving average
    durations: list[float] = field(default_factory=list)  # of the last requests, seconds; for ``retry_after``
    first_token_seconds: list[int] = field(default_factory=lambda: [0] * (len(FIRST_TOKEN_BOUNDS) + 1))  # by bound
    first_token_sum: float = 0.0  # seconds, queueing included

    def snapshot(self) -> dict[str, float | Histogram]:
        """Numbers by name; the names of counters end in ``_total``, as Prometheus wants them."""
        numbers: dict[str, float | Histogram] = {
            f.name if f.name in _GAUGES else f"{f.name}_total": getattr(self, f.name)
            for f in fields(self)
            if f.name not in ("durations", "first_token_seconds", "first_token_sum")
        }
        if not self.running:
            numbers["tokens_per_second"] = 0.0
        numbers["first_token_seconds"] = self._first_tokens()
        return numbers

    def step(self, tokens: int, seconds: float) -> None:
        self.steps += 1
        self.output_tokens += tokens
        self.busy_seconds += seconds
        rate = tokens / seconds if seconds else 0.0
        self.tokens_per_second += 0.05 * (rate - self.tokens_per_second)

    def first_token(self, seconds: float) -> None:
        self.first_token_seconds[bisect_left(FIRST_TOKEN_BOUNDS, seconds)] += 1
        self.first_token_sum += seconds

    def ended(self, seconds: float) -> None:
        self.finished += 1
        self.durations = [*self.durations[-31:], seconds]

    def retry_after(self, waiting: int, batch: int) -> float:
        """Seconds until a queue of ``waiting`` has moved on by one batch, at the pace of the last replies."""
        mean = sum(self.durations) / len(self.durations) if self.durations else 1.0
        return min(max(1.0, mean * (waiting / max(batch, 1))), 60.0)

    def _first_tokens(self) -> Histogram:
        total, buckets = 0, {}
        for bound, count in zip((*FIRST_TOKEN_BOUNDS, float("inf")), self.first_token_seconds, strict=True):
            total += count
            buckets[bound] = total
        return Histogram(buckets, total, self.first_token_sum)
