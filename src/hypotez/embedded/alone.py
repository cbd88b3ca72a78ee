"""The server on its own: ``hypotez serve``. Blocks until Ctrl-C or SIGTERM, then leaves in order."""

import asyncio
import ipaddress
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from hypotez import spans
from hypotez.errors import MissingExtra, SettingsError
from hypotez.settings import Settings, Upstream

if TYPE_CHECKING:
    from hypotez.embedded.assembly import Assembly

log = logging.getLogger(__name__)


def serve(settings: Settings, *, ready: Callable[[str], None] = print) -> None:
    """Serve on ``settings.server``'s address; ``ready`` gets the base URL when requests are answered.

    Raises ``ServerError`` when the port is in use, ``SettingsError`` when anybody could come in without a key.
    """
    try:
        from hypotez.embedded.assembly import assemble, listen
    except ImportError as exc:
        raise MissingExtra("local", f"The server ({exc.name} is not installed)") from exc
    if settings.telemetry.endpoint is not None:
        spans.configure(settings.telemetry.endpoint)
    host = settings.server.host
    secret = settings.server.api_key or settings.api_key
    with listen(host, settings.server.port) as listener:
        port = listener.getsockname()[1]
        assembly = assemble(
            settings,
            api_key=secret.get_secret_value() if secret else None,
            needs_key=not is_loopback(host),
            upstreams=[one for one in settings.upstream_chain() if not _is_here(one, host, port)],
        )
        try:
            _refuse_open_doors(assembly, host)
            url = f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"
            with _stopping_on_signals(assembly):
                asyncio.run(assembly.run(listener, lambda: ready(url)))
        finally:
            assembly.close()
            spans.close()


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address. A name counts when every address of it does."""
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    return bool(host) and all(ipaddress.ip_address(address.partition("%")[0]).is_loopback for address in found)


def _refuse_open_doors(assembly: "Assembly", host: str) -> None:
    from hypotez.server.auth import list_keys

    services = assembly.services
    if services.needs_key and services.api_key is None and not list_keys(services.store):
        raise SettingsError(
            f"{host} can be reached from other machines, and no API key is set. Set HYPOTEZ_API_KEY, make a key with "
            "`hypotez keys create NAME`, or listen on 127.0.0.1."
        )


def _is_here(upstream: Upstream, host: str, port: int) -> bool:
    """Whether an upstream is this very server: OPENAI_BASE_URL often is, and a request would go round for ever."""
    there = urlsplit(upstream.base_url)
    same = there.port == port and (there.hostname == host or is_loopback(there.hostname or ""))
    if same:
        log.warning("The upstream %s is this server itself; it is left out.", upstream.base_url)
    return same


@contextmanager
def _stopping_on_signals(assembly: "Assembly") -> Iterator[None]:
    """Ctrl-C and SIGTERM stop the server once answers under way have ended; a second one does not wait for them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: Any) -> None:
        assembly.server.force_exit = assembly.server.should_exit
        assembly.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
