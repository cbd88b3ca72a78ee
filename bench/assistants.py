"""The Assistants API under load: a thousand open run streams, and messages beside a bare FastAPI + SQLite server.

    python bench/assistants.py [--streams 1000] [--rounds 3] [--seconds 5]

The model is the scripted one, so that only the server is measured.
"""

import argparse
import asyncio
import json
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


async def measure_messages(seconds: float) -> dict[str, list[float]]:
    """Rates of create and list, ours and bare in turns, so that both see the same machine."""
    rates: dict[str, list[float]] = {name: [] for name in ("bare create", "create", "bare list", "list")}
    with tempfile.TemporaryDirectory() as home:
        bare, bare_port = start("bench/_bare.py", f"{home}/bare.db", "PORT")
        ours, port = start("-m", "tests.server.scripted_server", f"{home}/ours", "PORT")
        try:
            await asyncio.sleep(3)  # the bare one says that it is ready a little early
            connection = Connection(port)
            await connection.open()
            thread = json.loads(await connection.ask("POST", "/v1/threads"))["id"]
            path, bare_path = f"/v1/threads/{thread}/messages", "/threads/one/messages"
            for _ in range(3):
                rates["bare create"].append(await rate(bare_port, lambda: ("POST", bare_path, SAY), seconds, CLIENTS))
                rates["create"].append(await rate(port, lambda: ("POST", path, SAY), seconds, CLIENTS))
                rates["bare list"].append(await rate(bare_port, lambda: ("GET", bare_path, None), seconds, CLIENTS))
                rates["list"].append(await rate(port, lambda: ("GET", path, None), seconds, CLIENTS))
        finally:
            bare.kill()
            ours.kill()
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0)
    arguments = parser.parse_args()
    rates = {name: sorted(found)[1] for name, found in asyncio.run(measure_messages(arguments.seconds)).items()}
    print("| requests per second, 16 clients | bare FastAPI + SQLite | hypotez | part |")
    print("|---|---|---|---|")
    for name in ("create", "list"):
        ours, bare = rates[name], rates[f"bare {name}"]
        print(f"| {name} message{'s' * (name == 'list')} | {bare:.0f} | {ours:.0f} | {ours / bare:.2f} |")
    sys.stdout.flush()
    rounds = asyncio.run(measure_streams(arguments))
    print(f"\n| {arguments.streams} run streams at once | read whole | open at once | seconds | first text | memory |")
    print("|---|---|---|---|---|---|")
    for number, found in enumerate(rounds, 1):
        print(
            f"| round {number} | {found['whole']:.0f} | {found['open']:.0f} | {found['seconds']:.1f} | "
            f"{found['first']:.2f} s | {found['memory']:.0f} MB |"
        )


if __name__ == "__main__":
    main()
