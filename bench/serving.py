"""Serving speed: 64 prompt and 64 new tokens, greedy, at 1, 8 and 32 clients, peers side by side in one run.

    python bench/serving.py [--clients 1 8 32] [--threads 2] [--only NAME ...] [--model FOLDER]

Peers: our engine by itself, our server over HTTP with streams, and ``transformers`` generate (one padded batch). The
model is a Llama of 135M random weights unless a folder is given; random weights cost the same as trained ones.
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

PROMPT = NEW = 64
LLAMA_135M = {  # SmolLM2-135M's shape
    "vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536, "layers": 30, "heads": 9, "kv_heads": 3,
    "head_dim": 64, "max_positions": 2048, "tied": True,
}  # fmt: skip

Row = tuple[
    float, float | None, float | None
]  # tokens per second, p95 of seconds to the first one, tokens per CPU second


def build(folder: Path) -> Path:
    """A folder with random weights and a byte-level tokenizer whose words are single letters."""
    import tokenizers
    import torch
    from tokenizers import decoders, models, pre_tokenizers

    from hypotez.nn.config import DecoderConfig
    from hypotez.nn.decoder import Decoder
    from hypotez.nn.load import save

    decoder = Decoder(DecoderConfig(**LLAMA_135M))
    decoder.reset(0)
    save(decoder, folder, torch.bfloat16)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = tokenizers.Tokenizer(models.BPE({c: i for i, c in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text("{}")
    return folder


def prompts(clients: int) -> list[list[int]]:
    dice = random.Random(clients)
    return [dice.choices(range(200), k=PROMPT) for _ in range(clients)]


def engine_alone(folder: Path) -> Callable[[int], Row]:
    from hypotez.engine.engine import Engine, EngineOptions
    from hypotez.engine.precision import choose_dtype
    from hypotez.engine.sequence import Sampling, Sequence
    from hypotez.nn.load import load

    decoder = load(folder, choose_dtype("auto", "cpu"))

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


def transformers_generate(folder: Path) -> Callable[[int], Row]:
    import torch
    import transformers

    transformers.utils.logging.set_verbosity_error()
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()

    def run(clients: int) -> Row:
        ids = torch.tensor(prompts(clients))
        begun, cpu = time.perf_counter(), time.process_time()
        with torch.inference_mode():
            out = model.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=NEW, min_new_tokens=NEW, do_sample=False,
                pad_token_id=0,
            )  # fmt: skip
        tokens, seconds = out.numel() - ids.numel(), time.perf_counter() - begun
        return tokens / seconds, None, tokens / (time.process_time() - cpu)

    return run


def over_http(folder: Path) -> Callable[[int], Row]:
    """The whole way: server, backend, engine, official SDK with streams. Clients and server share the machine."""
    import signal
    import subprocess

    home = tempfile.mkdtemp()
    command = [sys.executable, "-m", "hypotez", "serve", "--port", "0", "--model", str(folder)]
    serving = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "HYPOTEZ_HOME": home})
    url = _address(serving)

    def run(clients: int) -> Row:
        if clients < 0:
            serving.send_signal(signal.SIGTERM)
            serving.wait(30)
            return 0.0, None, None
        return asyncio.run(_streams(url, clients, folder.name))

    return run


def _address(serving) -> str:
    import re

    for line in serving.stdout:
        if found := re.search(r"http://\S+?/v1", line):
            return found[0]
    raise SystemExit("hypotez serve did not start")


async def _streams(url: str, clients: int, model: str) -> Row:
    from openai import AsyncOpenAI

    client = AsyncOpenAI(base_url=url, api_key="none", max_retries=0)
    names = [card.id for card in (await client.models.list()).data]
    model = next((name for name in names if model in name), model)
    dice = random.Random(clients)

    async def one() -> tuple[float, int]:
        text = "".join(dice.choices("abcdefgh", k=PROMPT - 17))  # the template adds the rest
        begun, first, tokens = time.perf_counter(), 0.0, 0
        stream = await client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": text}], max_tokens=NEW, temperature=0, stream=True,
            stream_options={"include_usage": True}, extra_body={"ignore_eos": True},
        )  # fmt: skip
        async for chunk in stream:
            first = first or (time.perf_counter() - begun if chunk.choices else 0.0)
            tokens = chunk.usage.completion_tokens if chunk.usage else tokens
        return first, tokens

    begun = time.perf_counter()
    results = await asyncio.gather(*(one() for _ in range(clients)))
    return sum(n for _, n in results) / (time.perf_counter() - begun), p95([f for f, _ in results]), None


def p95(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=20)[-1] if len(seconds) > 1 else seconds[0]


PEERS = {"engine": engine_alone, "http": over_http, "transformers": transformers_generate}


def measure(name: str, folder: Path, clients: list[int], repeats: int) -> dict[int, Row]:
    """The best of ``repeats`` after one unmeasured round."""
    run = PEERS[name](folder)
    found = {}
    for count in clients:
        run(count)
        found[count] = max((run(count) for _ in range(repeats)), key=lambda row: row[0])
        print(f"{name} at {count}: {found[count][0]:.0f} tokens/s", file=sys.stderr, flush=True)
    if name == "http":
        run(-1)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--threads", type=int)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--only", nargs="+", choices=sorted(PEERS), default=list(PEERS))
    parser.add_argument("--model", type=Path)
    parser.add_argument("--peer", choices=sorted(PEERS), help="measure one peer in this process and print JSON")
    options = parser.parse_args()
    if options.peer:
        import torch

        if options.threads:
            torch.set_num_threads(options.threads)
        print(json.dumps(measure(options.peer, options.model, options.clients, options.repeats)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.model or build(Path(temporary) / "llama-135m")
        results = {name: _child(name, folder, options) for name in options.only}
    _print(results, options.clients)


def _child(name: str, folder: Path, options: argparse.Namespace) -> dict[str, Row]:
    """Each peer in a process of its own: none inherits another's memory or threads."""
    import subprocess

    command = [sys.executable, __file__, "--peer", name, "--model", str(folder), "--repeats", str(options.repeats)]
    command += ["--clients", *map(str, options.clients)]
    command += ["--threads", str(options.threads)] if options.threads else []
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


def _cell(row: Row | None) -> str:
    if row is None:
        return "-"
    return f"{row[0]:.0f}" if row[2] is None else f"{row[0]:.0f} ({row[2]:.0f})"


if __name__ == "__main__":
    main()
