"""What the engine counts, as plain numbers. Whoever serves ``/metrics`` reads them; nobody here prints them."""

from dataclasses import asdict, dataclass, field


@dataclass(slots=True)
class Metrics:
    """Counters grow for ever; the others are as of the last step."""

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
    adapter_loads: int = 0
    busy_seconds: float = 0.0  # spent computing
    first_token_seconds: float = 0.0  # summed over ``first_tokens`` requests, queueing included
    first_tokens: int = 0
    tokens_per_second: float = 0.0  # output, a moving average
    durations: list[float] = field(default_factory=list)  # of the last requests, seconds; for ``retry_after``

    def snapshot(self) -> dict[str, float]:
        numbers = asdict(self)
        del numbers["durations"]
        return numbers

    def step(self, tokens: int, seconds: float) -> None:
        self.steps += 1
        self.output_tokens += tokens
        self.busy_seconds += seconds
        rate = tokens / seconds if seconds else 0.0
        self.tokens_per_second += 0.05 * (rate - self.tokens_per_second)

    def first_token(self, seconds: float) -> None:
        self.first_tokens += 1
        self.first_token_seconds += seconds

    def ended(self, seconds: float) -> None:
        self.finished += 1
        self.durations = [*self.durations[-31:], seconds]

    def retry_after(self, waiting: int, batch: int) -> float:
        """Seconds until a queue of ``waiting`` has moved on by one batch, at the pace of the last replies."""
        mean = sum(self.durations) / len(self.durations) if self.durations else 1.0
        return min(max(1.0, mean * (waiting / max(batch, 1))), 60.0)
