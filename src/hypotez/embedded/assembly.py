"""Everything a server consists of, put together once for both ways of running it."""

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import httpx2
import uvicorn
from fastapi import APIRouter

from hypotez.embedded.graders import python_graders
from hypotez.embedded.local import LocalModels, Models, base_folders
from hypotez.embedded.vllm import Vllm
from hypotez.errors import ServerError
from hypotez.server import (
    assistants,
    chat,
    checkpoint_permissions,
    embeddings,
    files,
    fine_tuning,
    graders,
    messages,
    models,
    runs,
    steps,
    threads,
)
from hypotez.server.app import create_app
from hypotez.server.connection import PROTOCOLS
from hypotez.server.delivered import Delivered
from hypotez.server.services import Services
from hypotez.settings import Settings, Upstream, cores
from hypotez.store import Store
from hypotez.upstream import UpstreamBackend
from hypotez.worker import job_states, run_life
from hypotez.worker.routing import Router, Served
from hypotez.worker.runs import Runs
from hypotez.worker.training import Room, Supervisor
from hypotez.worker.webhooks import Endpoint, Webhooks

KEEP_ALIVE_SECONDS = 75  # longer than clients keep idle connections: the one who closes first should be the client
GRACE_SECONDS = 3  # for answers under way when the server stops
BACKLOG = 2048
WEBHOOK_SECONDS = 10.0

ROUTERS: Sequence[APIRouter] = [
    module.router
    for module in (
        assistants,
        chat,
        checkpoint_permissions,
        embeddings,
        files,
        fine_tuning,
        graders,
        messages,
        models,
        runs,
        steps,
        threads,
    )
]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Assembly:
    """A server that is not running yet. ``run`` it on an event loop, then ``close`` it."""

    services: Services
    local: LocalModels | Vllm
    workers: Runs
    webhooks: Webhooks
    supervisor: Supervisor
    server: uvicorn.Server

    async def run(self, listener: socket.socket, ready: Callable[[], None]) -> None:
        """Serve until ``stop``; ``ready`` is called when requests are answered."""
        self.supervisor.start()
        running = (self.workers.run(), self.webhooks.run(), self._announce(ready))
        background = [asyncio.create_task(work) for work in running]
        if self._answers_here():
            background.append(asyncio.create_task(self._warm()))
        try:
            await self.server.serve(sockets=[listener])
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            await self.services.router.aclose()

    def stop(self) -> None:
        """From any thread."""
        self.server.should_exit = True

    def close(self) -> None:
        """After ``run``: jobs that were made are on their way, then everything is let go."""
        self.supervisor.close()
        self.services.delivered.close()
        self.services.store.close()

    async def _announce(self, ready: Callable[[], None]) -> None:
        while not self.server.started:
            await asyncio.sleep(0.005)
        ready()

    def _answers_here(self) -> bool:
        return not any(served.serves("gpt-4o-mini") for served in self.services.router.upstreams)

    async def _warm(self) -> None:
        default = self.services.router.default
        with contextlib.suppress(asyncio.CancelledError):
            try:
                await self.local.warm(str(default))
            except Exception as exc:  # whoever asks the model gets the error; the server is useful without it
                log.warning(
                    "The local model %s cannot be loaded: %s %s", default, exc, getattr(exc, "hint", None) or ""
                )


def assemble(
    settings: Settings, *, api_key: str | None, needs_key: bool = False, upstreams: Sequence[Upstream] | None = None
) -> Assembly:
    """Open the store and put everything on top of it. Raises ``StorageError``, ``SettingsError``."""
    bases = base_folders(settings)
    store = Store.open(settings.database_url, settings.home)
    local, router = routing(settings, store, upstreams)
    workers = Runs(store, router, keep_events=settings.server.keep_events)
    room = Room(
        settings.home, settings.database_url, settings.training.concurrency, settings.training.heartbeat_seconds
    )
    supervisor = Supervisor(store, room)
    told = [Endpoint.of(hook.url, hook.secret.get_secret_value()) for hook in settings.webhooks]
    webhooks = Webhooks(store, told, _post)
    wakes = {
        run_life.WORK: workers.wake,
        job_states.WORK: supervisor.wake,
        job_states.VALIDATION: supervisor.wake,
    }
    services = Services(
        store=store,
        router=router,
        delivered=Delivered(settings.home / "delivered"),
        wake=lambda kind: wakes[kind](),
        home=settings.home,
        bases=bases,
        training_threads=settings.training.threads or cores(),
        training_at_once=settings.training.concurrency,
        api_key=api_key,
        needs_key=needs_key,
        max_upload=settings.server.max_upload,
        run_seconds=settings.server.run_seconds,
        python_graders=python_graders(settings),
    )
    config = uvicorn.Config(
        create_app(services, ROUTERS),
        **PROTOCOLS,
        lifespan="off",
        access_log=False,
        log_config=None,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    return Assembly(services, local, workers, webhooks, supervisor, _Server(config))


def routing(
    settings: Settings, store: Store, upstreams: Sequence[Upstream] | None = None
) -> tuple[LocalModels | Vllm, Router]:
    """Who serves which model: the ones of this machine, and the upstreams of the settings unless others are given."""
    bases = base_folders(settings)
    models = Models(store, bases)
    engine = LocalModels(models, settings)
    local = (
        engine if settings.engine.backend == "embedded" else Vllm(next(iter(bases)), settings.engine, models, engine)
    )
    chain = settings.upstream_chain() if upstreams is None else upstreams
    served = [Served(UpstreamBackend(upstream), upstream.models) for upstream in chain]
    return local, Router(store, local, served, settings.aliases, default=next(iter(bases)))


async def _post(url: str, headers: Mapping[str, str], body: bytes) -> int:
    async with httpx2.AsyncClient(timeout=WEBHOOK_SECONDS) as client:
        return (await client.post(url, content=body, headers=headers)).status_code


def listen(host: str, port: int) -> socket.socket:
    """A bound socket. Raises ``ServerError`` in words that name the address and the cure."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
        # asyncio sets it only on sockets that name their protocol; without it every answer waits 40 ms for an ACK
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except OSError as exc:
        if exc.errno == errno.EADDRINUSE:
            raise ServerError(
                f"Port {port} on {host} is in use. Choose another one: --port 0 takes a free one."
            ) from exc
        raise ServerError(f"Cannot listen on {host}:{port}: {exc.strerror or exc}.") from exc


class _Server(uvicorn.Server):
    """Signals are whoever's who runs it: in a thread there are none, and on its own a clean stop exits with 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
