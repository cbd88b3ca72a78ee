"""What the server costs beyond the engine: milliseconds per request and token, and bytes beyond weights and cache.

    python bench/overhead.py [--rounds 40] [--clients 32]

Time: one stream at a time of a model so small that the server shows, through HTTP and by the engine alone, in turns;
the quickest tenth of 1 and of 257 new tokens tells what a request costs and what each further token does. Memory: a
server on a Llama of 135M in bf16 after 32 streams, less what the same process holds before it has a model.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import quantiles

from _peers import hypotez

from serving import LLAMA_135M, NEW, PROMPT, TEMPLATE, build

SMALL = {**LLAMA_135M, "vocab_size": 512, "hidden_size": 64, "intermediate_size": 128, "layers": 2, "heads": 2,
         "kv_heads": 1, "head_dim": 32}  # fmt: skip
MANY = 257
CACHE = 16384  # tokens


def engine_alone(folder: Path):
    from hypotez.engine.engine import Engine, EngineOptions
    from hypotez.engine.precision import choose_dtype
    from hypotez.engine.sequence import Sampling, Sequence
    from hypotez.nn.load import load
    from hypotez.nn.packed import Weights, pack

    decoder = load(folder, choose_dtype("auto", "cpu"))
    pack(decoder, Weights("full"))
    engine = Engine(decoder, EngineOptions(cache_tokens=CACHE))

    def run(prompt: list[int], new: int) -> float:
        begun = time.perf_counter()
        engine.add(Sequence(prompt, Sampling(temperature=0, max_tokens=new, ignore_eos=True)))
        while engine.busy:
            engine.step()
        return time.perf_counter() - begun

    return run


def over_http(folder: Path):
    server = hypotez(folder, NEW, 1, TEMPLATE, cache_tokens=CACHE)
    body = server.body

    def run(prompt: list[int], new: int) -> float:
        server.body = lambda ids: {**body(ids), "max_tokens": new}
        begun = time.perf_counter()
        server.ask([prompt])
        return time.perf_counter() - begun

    return run, server


def times(rounds: int) -> list[str]:
    import torch

    torch.set_num_threads(1)
    dice = random.Random(0)
    with tempfile.TemporaryDirectory() as temporary:
        folder = build(Path(temporary) / "small", SMALL)
        alone = engine_alone(folder)
        asked, server = over_http(folder)
        try:
            found = {(who, new): [] for who in ("engine", "server") for new in (1, MANY)}
            for turn in range(rounds + 3):
                for new in (1, MANY):
                    for who, run in (("engine", alone), ("server", asked)):
                        seconds = run(dice.choices(range(200), k=PROMPT), new)
                        if turn >= 3:
                            found[who, new].append(1000 * seconds)
        finally:
            server.stop()
    middle = {key: quantiles(values, n=10)[0] for key, values in found.items()}  # the rest is the machine's
    lines = [
        "| a stream of a tiny model, milliseconds | first token and request | each further token |",
        "|---|---:|---:|",
    ]
    steps = {who: (middle[who, MANY] - middle[who, 1]) / (MANY - 1) for who in ("engine", "server")}
    lines += [f"| {who} | {middle[who, 1]:.2f} | {steps[who]:.3f} |" for who in ("engine", "server")]
    request, token = middle["server", 1] - middle["engine", 1], steps["server"] - steps["engine"]
    return [*lines, f"| the server adds | {request:.2f} | {token:.3f} |"]


def memory(clients: int) -> list[str]:
    """The bound: 1.3 times the weights, and the cache."""
    dice = random.Random(0)
    with tempfile.TemporaryDirectory() as temporary:
        folder = build(Path(temporary) / "llama-135m")
        weights = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
        cache = 2 * CACHE * LLAMA_135M["layers"] * LLAMA_135M["kv_heads"] * LLAMA_135M["head_dim"] * 2
        empty = bare()
        server = hypotez(folder, NEW, None, TEMPLATE, cache_tokens=CACHE)
        try:
            for count in (1, clients, clients):
                server.ask([dice.choices(range(200), k=PROMPT) for _ in range(count)])
            held = server.memory() - empty
        finally:
            server.stop()
    part = (held - cache) / weights
    return [
        "| memory of the server, MB | |",
        "|---|---:|",
        f"| before it has a model: Python, torch, the web half | {empty / 1e6:.0f} |",
        f"| beyond that, after {clients} streams | {held / 1e6:.0f} |",
        f"| of these the KV cache of {CACHE} tokens | {cache / 1e6:.0f} |",
        f"| the rest, times the weights of {weights / 1e6:.0f} | {part:.2f} |",
    ]


def bare() -> int:
    """Bytes of a process that has imported everything a server has, and multiplied once."""
    code = (
        "import hypotez.embedded.assembly, hypotez.engine.local, torch, psutil\n"
        "torch.ones(64, 64, dtype=torch.bfloat16) @ torch.ones(64, 64, dtype=torch.bfloat16)\n"
        "print(psutil.Process().memory_info().rss)"
    )
    return int(subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--only", choices=("times", "memory"))
    options = parser.parse_args()
    lines = [] if options.only == "memory" else [*times(options.rounds), ""]
    lines += [] if options.only == "times" else memory(options.clients)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
