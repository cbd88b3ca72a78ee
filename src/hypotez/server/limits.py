"""Rate limits per key: so many requests a minute, told in OpenAI's words and headers. Pure but for the clock.

A bucket fills steadily: after a pause the whole minute's number may be spent at once. Each server process counts
on its own.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from hypotez.errors import RateLimited

MINUTE = 60.0


@dataclass(slots=True)
class Bucket:
    tokens: float
    at: float  # when it was last filled, by the clock below


class Limits:
    """Counts requests by key. ``clock`` is in seconds and never runs backwards."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[str, Bucket] = {}
        self._lock = threading.Lock()

    def spend(self, key: str, per_minute: int) -> dict[str, str]:
        """Take one request from the key's minute; returns the headers that tell what is left.

        Raises ``RateLimited`` with the same headers and the time to wait.
        """
        with self._lock:
            now = self._clock()
            bucket = self._buckets.setdefault(key, Bucket(per_minute, now))
            bucket.tokens = min(per_minute, bucket.tokens + (now - bucket.at) * per_minute / MINUTE)
            bucket.at = now
            enough = bucket.tokens >= 1
            bucket.tokens -= enough
            left = bucket.tokens
        seconds = MINUTE / per_minute
        headers = {
            "x-ratelimit-limit-requests": str(per_minute),
            "x-ratelimit-remaining-requests": str(int(left)),
            "x-ratelimit-reset-requests": f"{(per_minute - left) * seconds:.3f}s",
        }
        if enough:
            return headers
        wait = (1 - left) * seconds
        raise RateLimited(
            f"Rate limit reached for this key on requests per min (RPM): Limit {per_minute}, Used {per_minute}, "
            f"Requested 1. Please try again in {wait:.3f}s.",
            retry_after=wait,
            headers=headers,
        )
