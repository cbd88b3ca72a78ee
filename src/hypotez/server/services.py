"""What a server is made of: plain values and objects, put together once by whoever assembles it."""

from collections.abc import Callable
from dataclasses import dataclass, field

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
    api_key: str | None = None  # opens everything; None: no key is asked until one is created
    max_upload: int = 512 * 1024**2  # bytes
    max_body: int = 64 * 1024**2  # bytes of a JSON request; OpenAI takes images of 50 MB in it
    run_seconds: int = 600
    tail: Tail = field(init=False)  # follows event streams for every client of this process

    def __post_init__(self) -> None:
        object.__setattr__(self, "tail", Tail(self.store))
