"""Training speed: our step against TRL's SFTTrainer and transformers' Trainer with PEFT, side by side in one run.

    python bench/training.py [--quick] [--only NAME ...]

Everyone gets the same random Llama of 135M parameters, the same LoRA (rank 16, all linear layers, same first values),
the same examples in the same order, batches of 8, one step size, two threads and a process of its own. Peers run in
bfloat16 and pad to the longest of the batch; tokens are counted without padding. A round goes through all of them, and
rounds are repeated, so that what else the machine does meets everyone alike. Wall time is what a user waits; processor
time tells the same on a machine that is busy with other work.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BATCH, RANK, ALPHA, PEAK, VOCABULARY = 8, 16, 32, 1e-3, 49152
PEERS = ("hypotez", "trl", "trainer")
TITLES = {"hypotez": "hypotez", "trl": "TRL SFTTrainer", "trainer": "transformers Trainer + PEFT"}


def examples(count: int) -> list[tuple[list[int], list[bool]]]:
    """Random tokens, some far more frequent, so that there is something to learn; the second half is learnt."""
    rnd, found = random.Random(0), []
    for _ in range(count):
        length = rnd.randint(32, 192)
        ids = [int(VOCABULARY * rnd.random() ** 6) for _ in range(length)]
        found.append((ids, [i >= length // 2 for i in range(length)]))
    return found


class Clock:
    """Seconds, seconds of all cores together, and loss of every step."""

    def __init__(self) -> None:
        self.steps: list[dict[str, float]] = []
        self._begun = self._used = 0.0

    def start(self) -> None:
        self._begun, self._used = time.perf_counter(), time.process_time()

    def stop(self, loss: float) -> None:
        seconds, used = time.perf_counter() - self._begun, time.process_time() - self._used
        self.steps.append({"seconds": seconds, "processor": used, "loss": loss})


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
    parameters = Hyperparameters(1, BATCH, 1.0, PEAK, 0.1, 0)
    how, workers = method("supervised", 0.1), Workers(2)
    loop = Loop(Policy(decoder, 0), how, optimizer, parameters, held, None, 8192, Position(), workers)
    loop.order = lambda epoch: list(range(len(held)))
    loop.rate = lambda step: PEAK
    while not loop.finished:
        clock.start()
        clock.stop(loop.step()["train_loss"])


def peer_model(folder: Path) -> Any:
    """transformers' model with PEFT's reading of the same adapter, trained in float32 over bfloat16 weights."""
    import peft
    import torch
    import transformers

    model = transformers.AutoModelForCausalLM.from_pretrained(folder / "base", dtype=torch.bfloat16)
    return peft.PeftModel.from_pretrained(model, folder / "adapter", is_trainable=True)


def peer_arguments(folder: Path, steps: int) -> dict[str, Any]:
    return {
        "output_dir": str(folder / "out"),
        "per_device_train_batch_size": BATCH,
        "max_steps": steps,
        "learning_rate": PEAK,
        "lr_scheduler_type": "constant",
        "weight_decay": 0.0,
        "bf16": True,
        "use_cpu": True,
        "report_to": [],
        "save_strategy": "no",
        "logging_steps": 1,
        "disable_tqdm": True,
        "gradient_checkpointing": False,
    }


def labelled(steps: int) -> list[dict[str, list[int]]]:
    """The examples as the peers take them: -100 where nothing is learnt."""
    return [
        {"input_ids": ids, "labels": [i if m else -100 for i, m in zip(ids, mask, strict=True)]}
        for ids, mask in examples(steps * BATCH)
    ]


def ordered(trainer_class: Any, clock: Clock) -> Any:
    """The trainer with its examples in file order and every step timed."""
    import torch

    class Ordered(trainer_class):
        def _get_train_sampler(self, *_: Any) -> Any:
            return torch.utils.data.SequentialSampler(self.train_dataset)

        def training_step(self, *arguments: Any, **more: Any) -> Any:
            clock.start()
            self.found = super().training_step(*arguments, **more)
            return self.found

    return Ordered


def timed_by(clock: Clock) -> Any:
    """A callback that stops the clock when the optimiser has stepped."""
    import transformers

    class Timed(transformers.TrainerCallback):
        trainer: Any = None

        def on_step_end(self, *_: Any, **__: Any) -> None:
            clock.stop(float(self.trainer.found))

    return Timed()


def trl(folder: Path, steps: int, clock: Clock) -> None:
    import datasets
    import transformers
    import trl as library

    config = library.SFTConfig(
        **peer_arguments(folder, steps), max_length=4096, packing=False,
        dataset_kwargs={"skip_prepare_dataset": True},
    )  # fmt: skip
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"), pad_token="<pad>", eos_token="<pad>"
    )
    callback = timed_by(clock)
    trainer = ordered(library.SFTTrainer, clock)(
        peer_model(folder), config, train_dataset=datasets.Dataset.from_list(labelled(steps)),
        processing_class=tokenizer, callbacks=[callback],
    )  # fmt: skip
    callback.trainer = trainer
    trainer.train()


def trainer(folder: Path, steps: int, clock: Clock) -> None:
    import datasets
    import torch
    import transformers

    def collate(batch: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
        width = max(len(row["input_ids"]) for row in batch)
        filled = {"input_ids": 0, "labels": -100}
        found = {
            name: torch.tensor([row[name] + [fill] * (width - len(row[name])) for row in batch])
            for name, fill in filled.items()
        }
        lengths = torch.tensor([len(row["input_ids"]) for row in batch])
        return found | {"attention_mask": (torch.arange(width) < lengths[:, None]).long()}

    callback = timed_by(clock)
    arguments = transformers.TrainingArguments(**peer_arguments(folder, steps), remove_unused_columns=False)
    running = ordered(transformers.Trainer, clock)(
        peer_model(folder), arguments, train_dataset=datasets.Dataset.from_list(labelled(steps)), data_collator=collate,
        callbacks=[callback],
    )  # fmt: skip
    callback.trainer = running
    running.train()


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
    tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, "<pad>")).save(str(folder / "tokenizer.json"))


def child(name: str, folder: Path, steps: int) -> None:
    """One peer in this process; its figures as JSON on the last line."""
    import torch

    torch.set_num_threads(2)
    clock, begun = Clock(), time.perf_counter()
    {"hypotez": hypotez, "trl": trl, "trainer": trainer}[name](folder, steps, clock)
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


def rounds(names: list[str], steps: int, times: int, layers: int) -> Iterator[tuple[str, dict[str, Any]]]:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        prepare(folder, layers)
        for _ in range(times):
            for name in names:
                command = [sys.executable, __file__, "--child", name, "--folder", place, "--steps", str(steps)]
                threads = {"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive", "TOKENIZERS_PARALLELISM": "false"}
                done = subprocess.run(
                    command, stdout=subprocess.PIPE, text=True, env={**os.environ, **threads}, check=True
                )
                yield name, json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="one round of few steps")
    parser.add_argument("--only", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--layers", type=int, default=30, help="fewer, to see whether everything still runs")
    parser.add_argument("--child", choices=PEERS)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--steps", type=int)
    options = parser.parse_args()
    if options.child:
        return child(options.child, options.folder, options.steps)
    steps, times = (4, 1) if options.quick else (16, 2)
    held = examples(steps * BATCH)
    tokens = [sum(len(ids) for ids, _ in held[at : at + BATCH]) for at in range(0, len(held), BATCH)]
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in options.only}
    for name, run in rounds(options.only, steps, times, options.layers):
        found[name].append(run)
        print(f"{name}: {speed(run, tokens, 'seconds'):.0f} tokens/s, {run['peak']:.2f} GB", file=sys.stderr)
    print("| | tokens per second | per second of processor | final loss | peak memory, GB |")
    print("|---|---|---|---|---|")
    for name, runs in found.items():
        wall, used = (max(speed(run, tokens, kind) for run in runs) for kind in ("seconds", "processor"))
        final = sum(step["loss"] for step in runs[-1]["steps"][-3:]) / 3
        print(f"| {TITLES[name]} | {wall:.0f} | {used:.0f} | {final:.3f} | {runs[-1]['peak']:.2f} |")
    if "hypotez" in found:
        # forward and the way back to the activations, 2 operations a weight each; the head only where it is learnt
        per_token = 4 * 3.54e6 * options.layers + 4 * VOCABULARY * 576 / 2
        best = max(speed(run, tokens, "processor") for run in found["hypotez"]) * per_token / 1e12
        peak = matmul_speed()
        print(f"\nOne core multiplies bfloat16 matrices at {peak:.2f} TFLOP/s here; the base model's own arithmetic ")
        print(f"takes {best / peak:.0%} of the processor time of our step.")
    return None


def speed(run: dict[str, Any], tokens: list[int], kind: str) -> float:
    """Tokens per second over a run, its first step (imports, buffers, kernels) left out."""
    return sum(tokens[1:]) / sum(step[kind] for step in run["steps"][1:])


if __name__ == "__main__":
    main()
