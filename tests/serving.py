"""A real server on a free port for tests: uvicorn in a thread, the scripted backend behind it.

def test_something(serving):
    with serving(ScriptedBackend(["Paris."])) as server:
        server.client.chat.completions.create(...)
"""

import asyncio
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from fastapi import APIRouter
from openai import AsyncOpenAI, OpenAI

from hypotez.backend import Backend
from hypotez.server.app import create_app
from hypotez.server.connection import PROTOCOLS, Connection
from hypotez.server.delivered import Delivered
from hypotez.server.services import Services
from hypotez.store import Store
from hypotez.testing import ScriptedBackend
from hypotez.worker.routing import Router, Served


@dataclass
class Running:
    """A server under test and everything inside it."""

    base_url: str
    services: Services
    backend: Backend
    api_key: str

    @property
    def store(self) -> Store:
        return self.services.store

    @property
    def client(self) -> OpenAI:
        return OpenAI(base_url=self.base_url, api_key=self.api_key, max_retries=0)

    @property
    def async_client(self) -> AsyncOpenAI:
        return AsyncOpenAI(base_url=self.base_url, api_key=self.api_key, max_retries=0)


Background = Callable[[Services], Awaitable[None]]


@contextmanager
def serve_for_test(
    home: Path,
    backend: Backend | None = None,
    *,
    routers: Sequence[APIRouter] = (),
    background: Sequence[Background] = (),
    upstreams: Sequence[Served] = (),
    aliases: dict[str, str] | None = None,
    protocol: type[Connection] = Connection,
    **values,
) -> Iterator[Running]:
    """Serve ``routers`` under /v1; ``background`` are coroutine functions run beside it (workers).

    ``values`` are fields of ``Services`` (api_key, max_upload, wake, ...).
    """
    backend = ScriptedBackend() if backend is None else backend
    store = Store.open(f"sqlite:///{home / 'hypotez.db'}", home)
    default = asyncio.run(backend.cards())[0].id
    services = Services(
        store=store,
        router=Router(store, backend, upstreams, aliases, default),
        delivered=Delivered(home / "delivered"),
        home=home,
        **values,
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        app = create_app(services, routers)
        speaking = {**PROTOCOLS, "http": protocol}
        config = uvicorn.Config(app, log_level="warning", lifespan="off", access_log=False, **speaking)
        server = uvicorn.Server(config)

        async def main() -> None:
            tasks = [asyncio.ensure_future(run(services)) for run in background]
            try:
                await server.serve(sockets=[listener])
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

        thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        try:
            port = listener.getsockname()[1]
            yield Running(f"http://127.0.0.1:{port}/v1", services, backend, values.get("api_key") or "none")
        finally:
            server.should_exit = True
            thread.join(30)
    services.delivered.close()
    store.close()
