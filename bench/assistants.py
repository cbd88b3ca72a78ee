"""The Assistants API under load: a thousand open run streams, and messages beside a bare FastAPI + SQLite server.

    python bench/assistants.py [--only messages | streams] [--streams 1000] [--rounds 3] [--seconds 5]

The model is the scripted one, so that only the server is measured. Both servers run on asyncio and httptools. Beside
the rates stands the processor time that a request costs its server: it says the same on a machine that others use.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time

import psutil
from _http import Connection, rate, start

SAY = {"role": "user", "content": "hello " * 20}
CLIENTS = 16


async def streams(port: int, count: int, assistant: str, server: psutil.Process) -> dict[str, float]:
    """Open ``count`` run streams at once and read each to its end."""
    opened, whole, most = 0, 0, 0
    first: list[float] = []

    async def one(number: int) -> None:
        nonlocal opened, whole, most
        connection = Connection(port)
        await connection.open()
        question = f"stream {number}"
        body = {
            "assistant_id": assistant,
            "stream": True,
            "thread": {"messages": [{"role": "user", "content": question}]},
        }
        begun, text, last = time.perf_counter(), "", b""
        opened += 1
        most = max(most, opened)
        async for line in connection.lines("/v1/threads/runs", body):
            last = line
            if line.startswith(b'data: {"id":"msg_') and b"thread.message.delta" in line:
                first.append(time.perf_counter() - begun) if not text else None
                text += json.loads(line[6:])["delta"]["content"][0]["text"]["value"]
        opened -= 1
        whole += last == b"data: [DONE]" and text.startswith(f"answer to {question} word") and text.endswith("word")
        connection.close()

    begun = time.perf_counter()
    await asyncio.gather(*(one(number) for number in range(count)))
    return {
        "whole": whole,
        "open": most,
        "seconds": time.perf_counter() - begun,
        "first": sorted(first)[len(first) // 2],
        "memory": server.memory_info().rss / 2**20,
    }


async def measure_streams(arguments: argparse.Namespace) -> list[dict[str, float]]:
    with tempfile.TemporaryDirectory() as home:
        options = ["--words", "20", "--delay", "0.5"]
        process, port = start("-m", "tests.server.scripted_server", home, "PORT", *options)
        try:
            connection = Connection(port)
            await connection.open()
            assistant = json.loads(await connection.ask("POST", "/v1/assistants", {"model": "scripted"}))["id"]
            server = psutil.Process(process.pid)
            return [await streams(port, arguments.streams, assistant, server) for _ in range(arguments.rounds)]
        finally:
            process.kill()


async def measure_messages(rounds: int, seconds: float) -> dict[str, list[tuple[float, float]]]:
    """(requests per second, ms of the server's processor per request) by what was asked of whom.

    Ours and the bare one in turns, so that both see the same machine.
    """
    found: dict[str, list[tuple[float, float]]] = {}

    async def measure(name: str, server: subprocess.Popen[bytes], port: int, *request: object) -> None:
        before = psutil.Process(server.pid).cpu_times()
        done = await rate(port, lambda: request, seconds, CLIENTS)
        after = psutil.Process(server.pid).cpu_times()
        spent = after.user + after.system - before.user - before.system
        found.setdefault(name, []).append((done, spent / (done * seconds) * 1000))

    with tempfile.TemporaryDirectory() as home:
        bare, bare_port = start("bench/_bare.py", f"{home}/bare.db", "PORT")
        ours, port = start("-m", "tests.server.scripted_server", f"{home}/ours", "PORT")
        try:
            await asyncio.sleep(3)  # the bare one says that it is ready a little early
            connection = Connection(port)
            await connection.open()
            thread = json.loads(await connection.ask("POST", "/v1/threads"))["id"]
            path, bare_path = f"/v1/threads/{thread}/messages", "/threads/one/messages"
            for _ in range(rounds):
                await measure("bare create", bare, bare_port, "POST", bare_path, SAY)
                await measure("create", ours, port, "POST", path, SAY)
                await measure("bare list", bare, bare_port, "GET", bare_path, None)
                await measure("list", ours, port, "GET", path, None)
        finally:
            bare.kill()
            ours.kill()
    return found


def print_messages(arguments: argparse.Namespace) -> None:
    found = asyncio.run(measure_messages(arguments.rounds, arguments.seconds))
    medians = {name: [statistics.median(values) for values in zip(*all, strict=True)] for name, all in found.items()}
    print("| 16 clients | bare FastAPI + SQLite | hypotez | part | bare, ms each | hypotez, ms each | part |")
    print("|---|---|---|---|---|---|---|")
    for name in ("create", "list"):
        (rate_of, cost), (bare_rate, bare_cost) = medians[name], medians[f"bare {name}"]
        print(
            f"| {name} message{'s' * (name == 'list')}, per second | {bare_rate:.0f} | {rate_of:.0f} | "
            f"{rate_of / bare_rate:.2f} | {bare_cost:.3f} | {cost:.3f} | {bare_cost / cost:.2f} |"
        )
    sys.stdout.flush()


def print_streams(arguments: argparse.Namespace) -> None:
    rounds = asyncio.run(measure_streams(arguments))
    print(f"\n| {arguments.streams} run streams at once | read whole | open at once | seconds | first text | memory |")
    print("|---|---|---|---|---|---|")
    for number, found in enumerate(rounds, 1):
        print(
            f"| round {number} | {found['whole']:.0f} | {found['open']:.0f} | {found['seconds']:.1f} | "
            f"{found['first']:.2f} s | {found['memory']:.0f} MB |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("messages", "streams"))
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0)
    arguments = parser.parse_args()
    if arguments.only != "streams":
        print_messages(arguments)
    if arguments.only != "messages":
        print_streams(arguments)


if __name__ == "__main__":
    main()
