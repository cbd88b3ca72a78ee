"""Jobs of the official SDK on a real server while everything goes wrong: does each end right, and once?

    python -m tests.worker.fault_matrix --faults 100 [--seed 1] [--jobs 3] [--minutes 60]

Kills, signals, full disks, clocks that jump, two servers on one store, at random instants. Each job must end
``succeeded`` with one model, its events once each, and with the losses, the result file and the weights of the same job
undisturbed, to the last bit. Prints the counts and exits with 1 where anything is wrong.
"""

import argparse
import hashlib
import itertools
import json
import math
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openai
from openai import OpenAI
from tests.tiny import model_folder
from tests.worker.faults import Faults, Place, Watch

Json = dict[str, Any]

CONCURRENCY = 2
SETTLE_SECONDS = 900
ENDED = {"succeeded", "failed", "cancelled"}
ONCE = (
    "Created fine-tuning job", "Files validated", "Fine-tuning job started", "New fine-tuned model created",
    "The job has successfully completed",
)  # fmt: skip


@dataclass
class Load:
    """Keeps ``outstanding`` jobs unfinished until told to stop; remembers what the server acknowledged."""

    client: OpenAI
    files: dict[str, Json]  # method: what its jobs are created with
    outstanding: int
    jobs: dict[str, str] = field(default_factory=dict)  # id: method
    stop: threading.Event = field(default_factory=threading.Event)
    refused: int = 0

    def run(self) -> None:
        methods = itertools.cycle(self.files)
        open_: list[str] = []
        while not self.stop.is_set():
            try:
                open_ = [id for id in open_ if self.client.fine_tuning.jobs.retrieve(id).status not in ENDED]
                if len(open_) < self.outstanding:
                    open_.append(self.create(next(methods)))
            except openai.APIError:
                self.refused += 1
            self.stop.wait(0.2)

    def create(self, method: str) -> str:
        made = self.client.fine_tuning.jobs.create(
            **self.files[method], seed=3, suffix="matrix", metadata={"number": str(len(self.jobs))}
        )
        self.jobs[made.id] = method
        return str(made.id)


def rows(method: str, count: int) -> bytes:
    """A training file for ``method`` that differs from line to line."""
    found = []
    for n in range(count):
        prompt = {"role": "user", "content": f"q {n} " + "weather in Paris " * (n % 5)}
        reply, worse = ({"role": "assistant", "content": text} for text in (f"a {n * 7}", f"no {n}"))
        found.append(
            {"messages": [prompt, reply]}
            if method == "supervised"
            else {"input": {"messages": [prompt]}, "preferred_output": [reply], "non_preferred_output": [worse]}
        )
    return "\n".join(map(json.dumps, found)).encode()


def files(client: OpenAI, model: str, epochs: int) -> dict[str, Json]:
    """What jobs of each method are created with, their files uploaded."""
    found: dict[str, Json] = {}
    for method in ("supervised", "dpo"):
        train, valid = (
            client.files.create(file=(f"{name}.jsonl", rows(method, count)), purpose="fine-tune").id
            for name, count in (("train", 24), ("valid", 6))
        )
        numbers = {"n_epochs": epochs, "batch_size": 2, "learning_rate_multiplier": 1.0}
        how = {"type": method, method: {"hyperparameters": numbers}}
        found[method] = {"model": model, "training_file": train, "validation_file": valid, "method": how}
    return found


@dataclass(frozen=True)
class Outcome:
    """All that a job came to, as a client sees it, and its weights."""

    status: str
    model: str
    messages: list[str]
    steps: list[Json]
    results: str
    checkpoints: list[int]
    weights: str


def outcome(client: OpenAI, home: Path, id: str) -> Outcome:
    job = client.fine_tuning.jobs.retrieve(id)
    events = list(reversed(list(client.fine_tuning.jobs.list_events(id, limit=100))))
    name = job.fine_tuned_model or ""
    folder = home / "models" / "".join(c if c.isalnum() or c in "._-" else "_" for c in name)
    weights = folder / "adapter_model.safetensors"
    return Outcome(
        job.status,
        name,
        [event.message for event in events if event.type == "message"],
        [dict(event.data or {}) for event in events if event.type == "metrics"],
        "".join(client.files.content(file).text for file in job.result_files),
        [one.step_number for one in client.fine_tuning.jobs.checkpoints.list(id)],
        hashlib.sha256(weights.read_bytes()).hexdigest() if name and weights.exists() else "none",
    )


def wrong(id: str, found: Outcome, undisturbed: Outcome) -> list[str]:
    """How a job that met faults differs from one that met none."""
    faults = [] if found.status == "succeeded" else [f"is {found.status}: {found.messages[-1:]}"]
    for start in ONCE:
        times = sum(message.startswith(start) for message in found.messages)
        faults += [] if times == 1 else [f"says {start!r} {times} times"]
    faults += [f"says {text!r} {n} times" for text, n in Counter(found.messages).items() if n > 1]
    for part in ("steps", "results", "checkpoints", "weights"):
        if getattr(found, part) != getattr(undisturbed, part):
            faults.append(f"has other {part} than undisturbed")
    return [f"{id} {fault}" for fault in faults]


def until_ended(client: OpenAI, ids: Sequence[str]) -> None:
    until = time.monotonic() + SETTLE_SECONDS
    left = list(ids)
    while left and time.monotonic() < until:
        left = [id for id in left if client.fine_tuning.jobs.retrieve(id).status not in ENDED]
        time.sleep(0.1)


def torment(
    home: Path,
    model: Path,
    kinds: Sequence[str],
    seed: int,
    outstanding: int = 3,
    epochs: int = 25,
    seconds: float = math.inf,
) -> tuple[list[str], Json]:
    """Strike each of ``kinds`` in turn at random instants, for ``seconds`` at most; what is wrong, and counts."""
    chance = random.Random(seed)
    place = Place(home, model, CONCURRENCY)
    try:
        place.start()
        client = OpenAI(base_url=f"http://127.0.0.1:{place.port}/v1", api_key="none", max_retries=30, timeout=20)
        load = Load(client, files(client, model.name, epochs), outstanding)
        quiet = {method: load.create(method) for method in load.files}
        until_ended(client, list(quiet.values()))
        undisturbed = {method: outcome(client, home, id) for method, id in quiet.items()}
        faults, watch = Faults(place, chance), Watch(place)
        client_thread = threading.Thread(target=load.run, daemon=True)
        for thread in (watch, client_thread):
            thread.start()
        last = time.monotonic() + seconds
        for n, kind in enumerate(kinds, 1):
            if time.monotonic() > last:
                break
            time.sleep(chance.uniform(0.1, 4.0))
            faults.strike(kind)
            print(f"{time.strftime('%H:%M:%S')} {n}/{len(kinds)} {kind}, {len(load.jobs)} jobs", file=sys.stderr)
        load.stop.set()
        client_thread.join(SETTLE_SECONDS)
        until_ended(client, list(load.jobs))
        watch.closing.set()
        found = [*watch.found, *ended_wrong(client, home, load, undisturbed)]
        counts = {
            "faults": dict(faults.done),
            "jobs": len(load.jobs),
            "steps of a job": {method: len(one.steps) for method, one in undisturbed.items()},
            "disk": _disk(place),
            "given up by the client": load.refused,
        }
    finally:
        place.close()
    return found, counts


def ended_wrong(client: OpenAI, home: Path, load: Load, undisturbed: dict[str, Outcome]) -> list[str]:
    outcomes = {id: outcome(client, home, id) for id in load.jobs}
    found = [fault for id, one in outcomes.items() for fault in wrong(id, one, undisturbed[load.jobs[id]])]
    names = Counter(one.model for one in outcomes.values())
    served = {model.id for model in client.models.list()}
    found += [f"{name!r} is the model of {times} jobs" for name, times in names.items() if times > 1]
    found += [f"{name!r} is not served" for name in names if name not in served]
    numbers = Counter((job.metadata or {}).get("number") for job in client.fine_tuning.jobs.list(limit=100))
    found += [f"job number {number} was made {times} times" for number, times in numbers.items() if times > 1]
    return found + [f"{path.parent.name} left its states" for path in home.glob("jobs/*/work")]


def _disk(place: Place) -> str:
    return "a small file system" if place.disk.mounted else "a limit on file sizes (no right to mount here)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=3, help="unfinished at any time")
    parser.add_argument("--minutes", type=float, default=math.inf, help="strike no longer than this")
    parser.add_argument("--only", choices=Faults.KINDS, help="one kind of fault")
    arguments = parser.parse_args()
    kinds = [arguments.only or Faults.KINDS[n % len(Faults.KINDS)] for n in range(arguments.faults)]
    random.Random(arguments.seed).shuffle(kinds)
    with tempfile.TemporaryDirectory() as folder:
        model = model_folder(Path(folder) / "tiny")
        begun = time.monotonic()
        found, counts = torment(
            Path(folder) / "home", model, kinds, arguments.seed, arguments.jobs, seconds=60 * arguments.minutes
        )
    counts["seconds"] = round(time.monotonic() - begun)
    print(json.dumps({**counts, "wrong": found}, indent=1))
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
