"""Training speed: our step against TRL, transformers' Trainer with PEFT and LLaMA-Factory, side by side in one run.

    python bench/training.py [--quick] [--only NAME ...] [--llamafactory-python PATH]

Everyone gets the same random Llama of 135M parameters, the same LoRA (rank 16, all linear layers, same first values),
the same examples in the same order, batches of 8, one step size, two threads and a process of its own. First every
peer is tried for a few steps in every setting of `_trainers.SETTINGS`, and goes on with its fastest. Peers pad to the
longest of the batch; tokens are counted without padding. A round goes through all of them, and rounds are repeated, so
that what else the machine does meets everyone alike. Wall time is what a user waits; processor time tells the same on
a machine that is busy with other work. LLaMA-Factory wants older libraries than ours and so a Python of its own.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import _trainers
from _lessons import ALPHA, BATCH, PEAK, RANK, VOCABULARY, Clock, examples

TITLES = {
    "hypotez": "hypotez",
    "trl": "TRL SFTTrainer",
    "trainer": "transformers Trainer + PEFT",
    "llamafactory": "LLaMA-Factory",
}
OURS = "packed"


def hypotez(folder: Path, steps: int, clock: Clock) -> None:
    import torch

    from hypotez.nn.adapters import load_adapter
    from hypotez.nn.load import load
    from hypotez.training.auto import Hyperparameters
    from hypotez.training.examples import Examples
    from hypotez.training.logps import Policy
    from hypotez.training.loop import Loop, Position
    from hypotez.training.methods import method
    from hypotez.training.optimizer import AdamW
    from hypotez.training.workers import Workers

    decoder = load(folder / "base", torch.bfloat16)
    load_adapter(decoder, 0, folder / "adapter", torch.float32)
    held = Examples()
    for example in examples(steps * BATCH):
        held.append([example], 4096)
    optimizer = AdamW([p for p in decoder.parameters() if p.requires_grad])
    parameters = Hyperparameters(1, BATCH, 1.0, PEAK, beta=0.1, sft_weight=0.0, seed=0)
    how, workers = method("supervised", 0.1), Workers(2)
    loop = Loop(Policy(decoder, 0), how, optimizer, parameters, held, None, 8192, Position(), workers)
    loop.order = lambda epoch: list(range(len(held)))
    loop.rate = lambda step: PEAK
    while not loop.finished:
        clock.start()
        clock.stop(loop.step().train_loss)


def prepare(folder: Path, layers: int) -> None:
    """The base model, the adapter's first values and a tokenizer that only has to exist."""
    import tokenizers
    import torch

    from hypotez.nn.adapters import save_adapter
    from hypotez.nn.config import DecoderConfig
    from hypotez.nn.decoder import Decoder
    from hypotez.nn.load import save
    from hypotez.nn.lora import attach, initialise

    decoder = Decoder(DecoderConfig(VOCABULARY, 576, 1536, layers, 9, 3, 64, tied=True, max_positions=4096))
    decoder.reset(seed=0)
    save(decoder, folder / "base", torch.bfloat16)
    attach(decoder, RANK)
    initialise(decoder, 0, RANK, ALPHA, seed=0)
    save_adapter(decoder, 0, folder / "adapter", str(folder / "base"))
    vocabulary = {"<pad>": 0, **{str(i): i for i in range(1, VOCABULARY)}}
    tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, "<pad>")).save(str(folder / "base" / "tokenizer.json"))
    names = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>", "eos_token": "<pad>"}
    (folder / "base" / "tokenizer_config.json").write_text(json.dumps(names))


def child(name: str, folder: Path, steps: int, setting: str) -> None:
    """One trainer in this process; its figures as JSON on the last line."""
    import torch

    torch.set_num_threads(2)
    clock, begun = Clock(), time.perf_counter()
    if name == "hypotez":
        hypotez(folder, steps, clock)
    else:
        getattr(_trainers, name)(folder, steps, setting, clock)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"steps": clock.steps, "peak": peak, "seconds": time.perf_counter() - begun}))


def matmul_speed() -> float:
    """bfloat16 TFLOP/s of one core at the model's widest matmul, best of twenty, by processor time."""
    import torch

    torch.set_num_threads(1)
    x, w = torch.randn(1024, 576).bfloat16(), torch.randn(3072, 576).bfloat16()
    best = float("inf")
    for _ in range(20):
        begun = time.thread_time()
        torch.nn.functional.linear(x, w)
        best = min(best, time.thread_time() - begun)
    return 2 * x.numel() * 3072 / best / 1e12


def measured(name: str, python: str, folder: Path, steps: int, setting: str) -> dict[str, Any]:
    """What `child` printed, run in a process of its own."""
    command = [python, __file__, "--child", name, "--folder", folder, "--steps", str(steps), "--setting", setting]
    threads = {"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **threads}, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="one round of few steps")
    parser.add_argument(
        "--only", nargs="+", choices=TITLES, default=[name for name in TITLES if name != "llamafactory"]
    )
    parser.add_argument("--llamafactory-python", help="the Python of an environment that has LLaMA-Factory")
    parser.add_argument("--layers", type=int, default=30, help="fewer, to see whether everything still runs")
    parser.add_argument("--child", choices=TITLES)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--setting", default=OURS)
    options = parser.parse_args()
    if options.child:
        return child(options.child, options.folder, options.steps, options.setting)
    pythons = dict.fromkeys(options.only, sys.executable)
    if options.llamafactory_python:
        pythons["llamafactory"] = options.llamafactory_python
    steps, times = (4, 1) if options.quick else (16, 2)
    tokens = [
        sum(len(ids) for ids, _ in examples(steps * BATCH)[at : at + BATCH]) for at in range(0, steps * BATCH, BATCH)
    ]
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in pythons}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        prepare(folder, options.layers)
        chosen = {name: fastest(name, python, folder, tokens) for name, python in pythons.items()}
        for name in list(pythons) * times:
            found[name].append(measured(name, pythons[name], folder, steps, chosen[name]))
            report(name, chosen[name], found[name][-1], tokens)
    print("| | setting | tokens per second | per second of processor | final loss | peak memory, GB |")
    print("|---|---|---|---|---|---|")
    for name, runs in found.items():
        wall, used = (max(speed(run, tokens, kind) for run in runs) for kind in ("seconds", "processor"))
        final = sum(step["loss"] for step in runs[-1]["steps"][-3:]) / 3
        print(f"| {TITLES[name]} | {chosen[name]} | {wall:.0f} | {used:.0f} | {final:.3f} | {runs[-1]['peak']:.2f} |")
    if "hypotez" in found:
        # forward and the way back to the activations, 2 operations a weight each; the head only where it is learnt
        per_token = 4 * 3.54e6 * options.layers + 4 * VOCABULARY * 576 / 2
        best = max(speed(run, tokens, "processor") for run in found["hypotez"]) * per_token / 1e12
        peak = matmul_speed()
        print(f"\nOne core multiplies bfloat16 matrices at {peak:.2f} TFLOP/s here; the base model's own arithmetic ")
        print(f"takes {best / peak:.0%} of the processor time of our step.")
    return None


def fastest(name: str, python: str, folder: Path, tokens: list[int]) -> str:
    """The setting in which three steps take the least processor time; our own step has one."""
    if name == "hypotez":
        return OURS
    tried = {}
    for setting in _trainers.SETTINGS:
        if setting in _trainers.REFUSED.get(name, ()):
            continue
        run = measured(name, python, folder, 3, setting)
        report(name, setting, run, tokens)
        tried[setting] = speed(run, tokens, "processor")  # wall time of three steps is mostly noise
    return max(tried, key=lambda setting: tried[setting])


def report(name: str, setting: str, run: dict[str, Any], tokens: list[int]) -> None:
    """One line of progress."""
    rate = speed(run, tokens, "seconds")
    print(f"{name}, {setting}: {rate:.0f} tokens/s, {run['peak']:.2f} GB", file=sys.stderr)


def speed(run: dict[str, Any], tokens: list[int], kind: str) -> float:
    """Tokens per second over a run, its first step (imports, buffers, kernels) left out."""
    return sum(tokens[1 : len(run["steps"])]) / sum(step[kind] for step in run["steps"][1:])


if __name__ == "__main__":
    main()
