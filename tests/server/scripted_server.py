"""A whole server process on the scripted backend: what kill -9, the benchmarks and other programs are tried on.

    python -m tests.server.scripted_server HOME PORT [--delay SECONDS] [--words N] [--silence SECONDS]

Every reply is deterministic: a thread whose last message asks for "tool" gets a call of ``lookup``, every other one
words that name the message. Prints "ready" when it listens.
"""

import argparse
import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn
from tests.assistants import ROUTERS

from hypotez.server.app import create_app
from hypotez.server.delivered import Delivered
from hypotez.server.services import Services
from hypotez.store import Store
from hypotez.testing import Reply, ScriptedBackend, Slow, ToolCall
from hypotez.worker.routing import Router
from hypotez.worker.runs import Runs

TOOL = {"type": "function", "function": {"name": "lookup", "parameters": {"type": "object"}}}


def reply_to(body: dict[str, Any], words: int, delay: float) -> Reply:
    """A call for a question with "tool" in it, until it has an output; then an answer that quotes the question."""
    question = next(m["content"] for m in reversed(body["messages"]) if m["role"] == "user")
    if "tool" in question and body["messages"][-1]["role"] != "tool" and body.get("tools"):
        return ToolCall("lookup", {"question": question}, f"call_{abs(hash(question))}")
    return Slow(f"answer to {question}" + " word" * words, delay)


def start(home: Path, port: int, ready: Callable[[], object]) -> None:
    """Serve until killed, impatient as a test needs it."""
    asyncio.run(main(home, port, delay=0.02, words=5, silence=1.0, ready=ready))


async def main(
    home: Path,
    port: int,
    delay: float,
    words: int,
    silence: float,
    ready: Callable[[], object] = lambda: print("ready", flush=True),
) -> None:
    home.mkdir(parents=True, exist_ok=True)
    store = Store.open(f"sqlite:///{home / 'hypotez.db'}", home)
    router = Router(store, ScriptedBackend(lambda body: reply_to(body, words, delay)), default="scripted")
    runs = Runs(store, router, silence=silence)
    services = Services(
        store=store, router=router, delivered=Delivered(home / "delivered.log"), wake=lambda kind: runs.wake()
    )
    app = create_app(services, ROUTERS)
    config = uvicorn.Config(app, http="httptools", log_level="warning", lifespan="off", access_log=False, backlog=4096)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", port), backlog=4096) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as the real server does
        executing = asyncio.create_task(runs.run())
        ready()
        try:
            await server.serve(sockets=[listener])
        finally:
            executing.cancel()
            await asyncio.gather(executing, return_exceptions=True)
            store.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path)
    parser.add_argument("port", type=int)
    parser.add_argument("--delay", type=float, default=0.01)
    parser.add_argument("--words", type=int, default=5)
    parser.add_argument("--silence", type=float, default=10.0)
    asyncio.run(main(**vars(parser.parse_args())))
