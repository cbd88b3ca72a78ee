"""Serving speed: 64 prompt and 64 new tokens, greedy, at 1, 8 and 32 clients, peers side by side in one run.

    python bench/serving.py [--clients 1 8 32] [--threads 2] [--only NAME ...] [--model FOLDER]
                            [--llama-server PATH] [--repeats 2] [--device cuda] [--bandwidth GB/S]

Our engine by itself and our server over HTTP with streams, beside ``transformers`` generate (one padded batch),
``transformers serve`` with and without its continuous batching, and llama.cpp's server in bf16 and q8_0
(``--llama-server`` or LLAMA_SERVER names its binary; without one those rows are left out). The model is a Llama of 135M
random weights unless a folder is given; random weights cost the same as trained ones. Every round has new prompts, so
that nobody finds them in a cache. ``--bandwidth`` of the device's memory adds the share of what it would allow, if a
step took the time of reading the weights and the keys and values once, and no other.
"""

import argparse
import atexit
import itertools
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from _peers import Row, Server, hypotez, llama_server, p95, transformers_serve

PROMPT = NEW = 64
LLAMA_135M = {  # SmolLM2-135M's shape
    "vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536, "layers": 30, "heads": 9, "kv_heads": 3,
    "head_dim": 64, "max_positions": 2048, "tied": True,
}  # fmt: skip
TEMPLATE = 17  # tokens that our chat template adds to a question


def build(folder: Path, shape: dict = LLAMA_135M) -> Path:
    """A folder with random weights and a byte-level tokenizer that reads single letters and can write every token."""
    import tokenizers
    import torch
    from tokenizers import decoders, models, pre_tokenizers

    from hypotez.nn.config import DecoderConfig
    from hypotez.nn.decoder import Decoder
    from hypotez.nn.load import save

    decoder = Decoder(DecoderConfig(**shape))
    decoder.reset(0)
    save(decoder, folder, torch.bfloat16)
    words = sorted(pre_tokenizers.ByteLevel.alphabet())
    words += ["<>", *(f"<{i}>" for i in range(len(words) + 1, shape["vocab_size"]))]
    merges = [("<", ">")]  # llama.cpp wants one; no prompt has it
    tokenizer = tokenizers.Tokenizer(models.BPE({word: i for i, word in enumerate(words)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text("{}")
    return folder


_turns = itertools.count()


def prompts(clients: int) -> list[list[int]]:
    """New ones at every call, the same for every peer."""
    dice = random.Random(next(_turns))
    return [dice.choices(range(200), k=PROMPT) for _ in range(clients)]


def engine_alone(folder: Path, device: str = "cpu") -> Callable[[int], Row]:
    from hypotez.engine.engine import Engine, EngineOptions
    from hypotez.engine.precision import choose_dtype
    from hypotez.engine.sequence import Sampling, Sequence
    from hypotez.nn.load import load
    from hypotez.nn.packed import pack

    decoder = load(folder, choose_dtype("auto", device), device)
    pack(decoder)

    def run(clients: int) -> Row:
        engine = Engine(decoder, EngineOptions(cache_tokens=clients * 256))
        wish = Sampling(temperature=0, max_tokens=NEW, ignore_eos=True)
        begun, cpu, firsts, tokens = time.perf_counter(), time.process_time(), {}, 0
        for prompt in prompts(clients):
            engine.add(Sequence(prompt, wish))
        while engine.busy:
            for said in engine.step():
                firsts.setdefault(said.sequence, time.perf_counter() - begun)
                tokens += 1
        seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
        return tokens / seconds, p95(list(firsts.values())), tokens / cpu

    return run


def transformers_generate(folder: Path, device: str) -> Callable[[int], Row]:
    import torch
    import transformers

    transformers.utils.logging.set_verbosity_error()
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).to(device).eval()

    def run(clients: int) -> Row:
        ids = torch.tensor(prompts(clients), device=device)
        begun, cpu = time.perf_counter(), time.process_time()
        with torch.inference_mode():
            out = model.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=NEW, min_new_tokens=NEW, do_sample=False,
                pad_token_id=0,
            ).cpu()  # fmt: skip
        tokens, seconds = out.numel() - ids.numel(), time.perf_counter() - begun
        return tokens / seconds, None, tokens / (time.process_time() - cpu)

    return run


def over_http(start: Callable[[Path], Server]) -> Callable[[Path], Callable[[int], Row]]:
    """The whole way: clients with streams and the server share the machine."""

    def started(folder: Path) -> Callable[[int], Row]:
        server = start(folder)
        atexit.register(server.stop)
        return lambda clients: server.ask(prompts(clients))

    return started


def peers(options: argparse.Namespace) -> dict[str, Callable[[Path], Callable[[int], Row]]]:
    threads, binary, device = options.threads, options.llama_server, options.device
    found = {
        "engine": lambda folder: engine_alone(folder, device),
        "http": over_http(lambda folder: hypotez(folder, NEW, threads, TEMPLATE, device=device)),
        "transformers": lambda folder: transformers_generate(folder, device),
        "transformers-serve": over_http(lambda folder: transformers_serve(folder, NEW, threads, False, device)),
        "transformers-serve-batching": over_http(lambda folder: transformers_serve(folder, NEW, threads, True, device)),
    }
    if binary is None:
        return found
    for kind in ("bf16", "q8_0"):
        found[f"llama.cpp-{kind}"] = over_http(
            lambda folder, kind=kind: llama_server(binary, folder, kind, NEW, threads)
        )
    return found


def measure(name: str, folder: Path, options: argparse.Namespace) -> dict[int, Row]:
    """The best of the rounds after one unmeasured."""
    run = peers(options)[name](folder)
    found = {}
    for count in options.clients:
        run(count)
        found[count] = max((run(count) for _ in range(options.repeats)), key=lambda row: row[0])
        print(f"{name} at {count}: {found[count][0]:.0f} tokens/s", file=sys.stderr, flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--threads", type=int)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--only", nargs="+")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--llama-server", type=Path, default=os.environ.get("LLAMA_SERVER"))
    parser.add_argument("--device", default="cpu", help="cpu or cuda, for all but llama.cpp's server")
    parser.add_argument("--bandwidth", type=float, help="of the device's memory, GB/s")
    parser.add_argument("--peer", help="measure one peer in this process and print JSON")
    options = parser.parse_args()
    known = peers(options)
    if strangers := {*(options.only or ()), *filter(None, [options.peer])} - set(known):
        parser.error(f"no peer {', '.join(sorted(strangers))}; there are: {', '.join(known)}")
    if options.peer:
        import torch

        if options.threads:
            torch.set_num_threads(options.threads)
        print(json.dumps(measure(options.peer, options.model, options)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.model or build(Path(temporary) / "llama-135m")
        results = {name: _child(name, folder, options) for name in options.only or known}
        limits = [limit(folder, n, options.bandwidth) for n in options.clients] if options.bandwidth else []
    _print(results, options.clients)
    if limits:
        _print_shares(results, options.clients, limits)
    if options.llama_server is None:
        print("\nllama.cpp's server was not measured: no binary was named (--llama-server PATH).")


def _child(name: str, folder: Path, options: argparse.Namespace) -> dict[str, Row]:
    """Each peer in a process of its own: none inherits another's memory or threads."""
    import subprocess

    command = [sys.executable, __file__, "--peer", name, "--model", str(folder), "--repeats", str(options.repeats)]
    command += ["--clients", *map(str, options.clients), "--device", options.device]
    command += ["--threads", str(options.threads)] if options.threads else []
    command += ["--llama-server", str(options.llama_server)] if options.llama_server else []
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else {}


def _print(results: dict[str, dict[str, Row]], clients: list[int]) -> None:
    """Tokens per second, and per second of one processor: the second survives a machine that others use too."""
    heads = [f"{n} client{'s' * (n > 1)}" for n in clients]
    print("| tokens per second (per CPU second) | " + " | ".join(heads) + f" | first token at {clients[-1]}, p95 |")
    print("|---|" + "---:|" * (len(clients) + 1))
    for name, rows in results.items():
        cells = [_cell(rows.get(str(n))) for n in clients]
        first = rows.get(str(clients[-1]), (0, None, None))[1]
        print(f"| {name} | {' | '.join(cells)} | {'-' if first is None else f'{first:.2f} s'} |")


def limit(folder: Path, clients: int, bandwidth: float) -> float:
    """Tokens per second in bf16, if a step only read the weights, keys and values of ``clients`` sequences, at GB/s."""
    import torch

    from hypotez.engine.kv import Cache
    from hypotez.nn.config import from_hf

    config = from_hf(json.loads((folder / "config.json").read_text()))
    looked_up = 0 if config.tied else config.vocab_size * config.hidden_size  # rows of the embedding, not all of it
    seen = clients * (PROMPT + NEW / 2) * Cache.token_bytes(config, torch.bfloat16)
    return clients * bandwidth * 1e9 / (2 * (config.parameters - looked_up) + seen)


def _print_shares(results: dict[str, dict[str, Row]], clients: list[int], limits: list[float]) -> None:
    print(
        "\n| share of what the memory's bandwidth allows | "
        + " | ".join(f"{n}: {top:.0f}/s" for n, top in zip(clients, limits, strict=True))
        + " |"
    )
    print("|---|" + "---:|" * len(clients))
    for name, rows in results.items():
        found = [rows.get(str(n)) for n in clients]
        cells = ["-" if row is None else f"{row[0] / top:.1%}" for row, top in zip(found, limits, strict=True)]
        print(f"| {name} | {' | '.join(cells)} |")


def _cell(row: Row | None) -> str:
    if row is None:
        return "-"
    return f"{row[0]:.0f}" if row[2] is None else f"{row[0]:.0f} ({row[2]:.0f})"


if __name__ == "__main__":
    main()
