"""What the server costs beyond the engine: milliseconds per request and token, and bytes beyond weights and cache.

    python bench/overhead.py [--rounds 40] [--clients 32]

Time: one stream at a time of a model so small that the server shows, through HTTP and by the engine alone, in turns;
the quickest tenth of 1 and of 257 new tokens tells what a request costs and what each further token does. Memory: the
most that a server on a Llama of 135M and of 415M in bf16 held, loading and 32 streams included, and what it holds at
rest, each less what a server on a tiny model does.
"""

import argparse
import json
import random
import socket
import tempfile
import time
from pathlib import Path
from statistics import quantiles

from _peers import hypotez

from serving import LLAMA_135M, NEW, PROMPT, TEMPLATE, build

SMALL = {**LLAMA_135M, "vocab_size": 512, "hidden_size": 64, "intermediate_size": 128, "layers": 2, "heads": 2,
         "kv_heads": 1, "head_dim": 32}  # fmt: skip
LLAMA_415M = {**LLAMA_135M, "hidden_size": 1024, "intermediate_size": 4096, "layers": 24, "heads": 16, "kv_heads": 4}
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
    """One connection that stays open and a client that only waits for the end: what is timed is the server."""
    server = hypotez(folder, NEW, 1, TEMPLATE, cache_tokens=CACHE)
    client = socket.create_connection(("127.0.0.1", server.port))
    client.settimeout(60)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def run(prompt: list[int], new: int) -> float:
        body = json.dumps({**server.body(prompt), "max_tokens": new}).encode()
        fields = f"host: localhost\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
        sent, got = f"POST {server.path} HTTP/1.1\r\n{fields}\r\n\r\n".encode() + body, b""
        begun = time.perf_counter()
        client.sendall(sent)
        while not got.endswith(b"0\r\n\r\n") and (more := client.recv(1 << 16)):
            got += more
        took = time.perf_counter() - begun
        if not got.startswith(b"HTTP/1.1 200") or b"data: [DONE]" not in got:
            raise SystemExit(got.decode())
        return took

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
    """The bound: 1.3 times the weights, and the cache. What a server holds with a tiny model is everybody's."""
    tiny, lowest, _ = held(SMALL, clients)
    lines = [
        f"| memory of a server, MB, {clients} streams twice | weights | KV cache | at most | at rest "
        "| times the weights, at most | at rest |",
        "|---|---:|---:|---:|---:|---:|---:|",
        f"| a tiny model | < 1 | {cache_bytes(SMALL) / 1e6:.0f} | {tiny / 1e6:.0f} | {lowest / 1e6:.0f} | - | - |",
    ]
    base = [number - cache_bytes(SMALL) for number in (tiny, lowest)]
    for name, shape in (("135M", LLAMA_135M), ("415M", LLAMA_415M)):
        most, rest, weights = held(shape, clients)
        cache = cache_bytes(shape)
        parts = [(number - cache - fixed) / weights for number, fixed in zip((most, rest), base, strict=True)]
        lines.append(
            f"| {name} | {weights / 1e6:.0f} | {cache / 1e6:.0f} | {most / 1e6:.0f} | {rest / 1e6:.0f} "
            f"| {parts[0]:.2f} | {parts[1]:.2f} |"
        )
    return lines


def held(shape: dict, clients: int) -> tuple[int, int, int]:
    """Bytes that a server of a random model held at most, loading included, and holds at rest; and the weights'."""
    dice = random.Random(0)
    with tempfile.TemporaryDirectory() as temporary:
        folder = build(Path(temporary) / "model", shape)
        weights = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
        server = hypotez(folder, NEW, None, TEMPLATE, cache_tokens=CACHE)
        try:
            for count in (1, clients, clients):
                server.ask([dice.choices(range(200), k=PROMPT) for _ in range(count)])
            time.sleep(2.5)  # it returns what it does not need when nobody has asked for a second
            status = Path(f"/proc/{server.process.pid}/status").read_text()
            most = 1024 * int(status.split("VmHWM:")[1].split()[0])
            return most, server.memory(), weights
        finally:
            server.stop()


def cache_bytes(shape: dict) -> int:
    return 2 * CACHE * shape["layers"] * shape["kv_heads"] * shape["head_dim"] * 2


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
