"""What a server is made of: plain values and objects, put together once by whoever assembles it."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hypotez.grading.sandbox import Limits
from hypotez.server.delivered import Delivered
from hypotez.store import Store
from hypotez.worker.routing import Router
from hypotez.worker.tail import Tail


def nobody(kind: str) -> None:
    """No worker in this process: the work waits in the store for one that polls."""


@dataclass(frozen=True, slots=True)
class Services:
    store: Store
    router: Router
    delivered: Delivered
    wake: Callable[[str], None] = nobody  # tell this process's worker that there is work of a kind ("run", "job")
    home: Path = Path()  # of jobs and tuned models
    bases: Mapping[str, str] = field(default_factory=dict)  # local models that can be trained: name to folder
    training_threads: int = 1  # of one job; part of its numbers, so fixed when it is made
    training_at_once: int = 1  # jobs
    api_key: str | None = None  # opens everything; None: no key is asked until one is created
    needs_key: bool = False  # ask for a key even when there is none: others can reach this server
    max_upload: int = 512 * 1024**2  # bytes
    max_body: int = 64 * 1024**2  # bytes of a JSON request; OpenAI takes images of 50 MB in it
    run_seconds: int = 600
    python_graders: Limits = field(default_factory=Limits)
    graders_at_once: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(4))
    tail: Tail = field(init=False)  # follows event streams for every client of this process

    def __post_init__(self) -> None:
        object.__setattr__(self, "tail", Tail(self.store))
