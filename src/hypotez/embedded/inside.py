"""The server inside this process: a thread, a free loopback port, a key that nobody else knows."""

import asyncio
import atexit
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hypotez.errors import MissingExtra, ServerError
from hypotez.settings import Settings, Upstream

if TYPE_CHECKING:
    from hypotez.embedded.assembly import Assembly

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Embedded:
    """One user's hold on the server of this process and home; it stops when the last one is closed."""

    base_url: str
    api_key: str
    _release: Callable[[], None]

    def close(self) -> None:
        """Let go. Twice is fine."""
        self._release()


def start(settings: Settings, *, upstream: Upstream | None = None) -> Embedded:
    """The server of this process for these settings, started unless it runs already.

    ``upstream`` comes before those of the settings. Raises ``ServerError``, ``StorageError``, ``MissingExtra``.
    """
    chain = [*([] if upstream is None else [upstream]), *settings.upstream_chain()]
    identity = repr((settings.home.resolve(), settings.database_url, settings.engine, settings.aliases)) + "".join(
        f"{one.base_url} {one.api_key and one.api_key.get_secret_value()} {one.models}" for one in chain
    )
    with _lock:
        running = _running.get(identity)
        if running is None:
            running = _running[identity] = _Running(settings, chain)
        running.users += 1
    return Embedded(running.base_url, running.api_key, _Release(identity, running))


class _Release:
    """Takes one user away, once."""

    def __init__(self, identity: str, running: "_Running") -> None:
        self._identity, self._running = identity, running
        self._done = False

    def __call__(self) -> None:
        with _lock:
            if self._done:
                return
            self._done = True
            self._running.users -= 1
            last = self._running.users == 0
            if last:
                _running.pop(self._identity, None)
        if last:
            self._running.close()


class _Running:
    """A server in its thread."""

    def __init__(self, settings: Settings, chain: list[Upstream]) -> None:
        self.users = 0
        self.api_key = settings.api_key.get_secret_value() if settings.api_key else secrets.token_urlsafe(24)
        self._assembly = _assemble(settings, chain, self.api_key)
        self._ready = threading.Event()
        self._failures: list[BaseException] = []
        from hypotez.embedded.assembly import listen

        self._listener = listen(HOST, 0)
        self.base_url = f"http://{HOST}:{self._listener.getsockname()[1]}/v1"
        self._thread = threading.Thread(target=self._run, name="hypotez-server", daemon=True)
        self._thread.start()
        try:
            self._ready.wait()
        except BaseException:  # Ctrl-C: nobody has hold of this server yet, so nobody else would close it
            self.close()
            raise
        if self._failures:
            self._assembly.close()
            raise ServerError(f"The embedded server did not start: {self._failures[0]}") from self._failures[0]

    def close(self) -> None:
        self._assembly.stop()
        self._thread.join()
        self._listener.close()
        self._assembly.close()

    def _run(self) -> None:
        try:
            asyncio.run(self._assembly.run(self._listener, self._ready.set))
        except BaseException as exc:
            self._failures.append(exc)
        finally:
            self._ready.set()


def _assemble(settings: Settings, chain: list[Upstream], api_key: str) -> "Assembly":
    try:
        from hypotez.embedded.assembly import assemble
    except ImportError as exc:
        raise MissingExtra("local", f"The embedded server ({exc.name} is not installed)") from exc
    return assemble(settings, api_key=api_key, upstreams=chain)


_lock = threading.Lock()
_running: dict[str, _Running] = {}


@atexit.register
def _close_all() -> None:
    """Whoever forgot to close: what was created shall be on its way before the process is gone."""
    with _lock:
        left = list(_running.values())
        _running.clear()
    for running in left:
        running.close()
