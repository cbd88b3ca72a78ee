"""What many tuned models on one base cost: 8 clients that all ask one adapter, then any of 50, in turns.

    python bench/adapters.py [--clients 8] [--adapters 50] [--slots 32] [--seconds 8] [--rounds 3] [--rank 16]

The backend as the server has it (text in, chunks out), a Llama of 135M random weights in bf16, 64 prompt and 64 new
tokens, adapters of the rank and the places (every linear layer) that training makes. Each client asks one question
after another; which adapter answers is drawn anew each time, so that with fewer slots than adapters many must be read.
As in a server, torch's threads wait for each other awake for a moment only, and one thread alone has a team of them:
what is measured is made by another process.
"""

import argparse
import asyncio
import multiprocessing
import random
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from hypotez.backend import Card, Source
from hypotez.embedded.local import import_torch

import_torch()

from hypotez.engine.engine import EngineOptions  # noqa: E402
from hypotez.engine.local import LocalBackend, LocalOptions  # noqa: E402
from serving import NEW, PROMPT, build  # noqa: E402


def make(base: Path, home: Path, count: int, rank: int) -> None:
    """A model, and ``count`` folders of an adapter that changes what it says."""
    from hypotez.nn.adapters import save_adapter
    from hypotez.nn.load import load
    from hypotez.nn.lora import attach, initialise, loras

    decoder = load(build(base))
    attach(decoder, rank)
    initialise(decoder, 0, rank, 2 * rank, 0)
    for lora in loras(decoder):
        for b in lora.b:
            b.data.normal_(std=0.02)
    save_adapter(decoder, 0, home / "0", str(base))
    for i in range(1, count):
        shutil.copytree(home / "0", home / str(i))


async def speed(backend: LocalBackend, names: list[str], clients: int, seconds: float) -> tuple[float, float]:
    """Tokens per second, and per second of processor, of ``clients`` that ask one after another."""

    async def client(dice: random.Random) -> None:
        while True:
            text = "".join(dice.choices("abcdefgh", k=PROMPT - 17))  # the template adds the rest
            body = {"model": dice.choice(names), "messages": [{"role": "user", "content": text}], "max_tokens": NEW}
            async for _ in backend.chat({**body, "temperature": 0, "ignore_eos": True}):
                pass

    begun, cpu, before = time.perf_counter(), time.process_time(), _tokens(backend)
    tasks = [asyncio.create_task(client(random.Random(seed))) for seed in range(clients)]
    await asyncio.sleep(seconds)
    took, spent, tokens = time.perf_counter() - begun, time.process_time() - cpu, _tokens(backend) - before
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return tokens / took, tokens / spent


def _tokens(backend: LocalBackend) -> float:
    return sum(numbers["output_tokens_total"] for numbers in backend.metrics().values())


async def compare(backend: LocalBackend, names: list[str], options: argparse.Namespace) -> dict[str, list]:
    kinds = {"the base model": ["base"], "one adapter": names[:1], f"{len(names)} adapters": names}
    found = {kind: [] for kind in kinds}
    for kind in kinds:
        await speed(backend, kinds[kind], options.clients, 3.0)  # unmeasured
    for turn in range(options.rounds):
        for kind in kinds if turn % 2 == 0 else reversed(kinds):
            found[kind].append(await speed(backend, kinds[kind], options.clients, options.seconds))
            print(kind, *(f"{number:.0f}" for number in found[kind][-1]), file=sys.stderr, flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--adapters", type=int, default=50)
    parser.add_argument("--slots", type=int, default=EngineOptions().adapter_slots)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rank", type=int, default=16)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        base, home = Path(temporary) / "base", Path(temporary) / "adapters"
        made = multiprocessing.get_context("spawn").Process(
            target=make, args=(base, home, options.adapters, options.rank)
        )
        made.start()
        made.join()
        names = [f"ft:{i}" for i in range(options.adapters)]
        sources = {name: Source(str(base), home / str(i), Card(name)) for i, name in enumerate(names)}
        sources["base"] = Source(str(base), None, Card("base"))
        engine = EngineOptions(adapter_slots=options.slots, cache_tokens=8192)
        backend = LocalBackend(sources.get, list, LocalOptions(engine=engine))
        asyncio.run(_measure(backend, names, options))


async def _measure(backend: LocalBackend, names: list[str], options: argparse.Namespace) -> None:
    found = await compare(backend, names, options)
    numbers = next(iter(backend.metrics().values()))
    await backend.aclose()
    print(f"| {options.clients} clients, {options.slots} slots | tokens per second | per processor second | of one |")
    print("|---|---:|---:|---:|")
    one = [statistics.median(column) for column in zip(*found["one adapter"], strict=True)]
    for kind, rows in found.items():
        wall, cpu = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"| {kind} | {wall:.0f} | {cpu:.0f} | {100 * wall / one[0]:.0f} %, {100 * cpu / one[1]:.0f} % |")
    print(f"\n{numbers['adapter_loads_total']:.0f} adapters were read while it ran.")


if __name__ == "__main__":
    main()
