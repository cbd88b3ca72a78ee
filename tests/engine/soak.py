"""A long mixed load on a real server: streams, cancels, disconnects, hostile parameters, tuned models, runs.

    python -m tests.engine.soak --minutes 30 --clients 32 [--model FOLDER] [--seed 1]

The server is a process of its own on a model (a tiny random one unless a folder is given) with more adapters than
slots. Prints what was counted, and exits with 1 when a request got stuck or a 5xx, blocks of the KV cache stayed in
use, a run did not end, or memory went on growing.
"""

import argparse
import asyncio
import collections
import contextlib
import dataclasses
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx2
import psutil
from tests.tiny import model_folder

from hypotez.cli._frame import Sample
from hypotez.nn.adapters import save_adapter
from hypotez.nn.load import load
from hypotez.nn.lora import attach, initialise, loras
from hypotez.store import Store
from hypotez.worker.run_states import ACTIVE, KIND

ADAPTERS, SLOTS = 12, 4
STUCK = 120.0  # seconds without an end
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}
HOSTILE = [  # (what is sent over a plain question, the statuses it may get)
    ({"max_tokens": 2**31 - 1, "temperature": 2.0}, {200}),
    ({"max_tokens": 0}, {400}),
    ({"logit_bias": {str(i): 100 * (-1) ** i for i in range(300)}, "max_tokens": 20}, {200}),
    ({"logit_bias": {"9999999": 100}, "max_tokens": 4}, {200, 400}),
    ({"logit_bias": {"x": 1}}, {400}),
    ({"n": 16, "max_tokens": 12, "temperature": 1.0}, {200}),
    ({"n": 129}, {400}),
    ({"stop": ["e", "a", " ", "\n"], "max_tokens": 60}, {200}),
    ({"stop": ["1", "2", "3", "4", "5"]}, {400}),
    ({"messages": []}, {400}),
    ({"messages": [{"role": "user", "content": ""}], "max_tokens": 8}, {200, 400}),
    ({"messages": [{"role": "user", "content": "long " * 5000}]}, {400}),
    ({"messages": [{"role": "user", "content": "quite long " * 120}], "max_tokens": 30}, {200, 400}),
    ({"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}}, {200}),
    ({"response_format": {"type": "json_object"}, "max_tokens": 40}, {200}),
    ({"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": 3}}}}, {400}),
    ({"temperature": 99}, {400}),
    ({"top_p": 0, "seed": -(2**63), "max_tokens": 9}, {200}),
    ({"logprobs": True, "top_logprobs": 20, "max_tokens": 20}, {200}),
    ({"presence_penalty": 2, "frequency_penalty": -2, "max_tokens": 50}, {200}),
    ({"model": "ft:tiny:nobody::00000000"}, {404}),
]


@dataclasses.dataclass
class Report:
    """What was counted. ``memory`` is (seconds, bytes) of the server."""

    ends: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    wrong: list[str] = dataclasses.field(default_factory=list)
    memory: list[tuple[float, int]] = dataclasses.field(default_factory=list)
    blocks_in_use: float = -1
    numbers: dict[str, float] = dataclasses.field(default_factory=dict)

    def grown(self) -> float:
        """Bytes that the last fifth of the time had more than the second fifth; the first one fills the caches."""
        fifth = max(len(self.memory) // 5, 1)
        sizes = [size for _, size in self.memory]
        return sum(sizes[-fifth:]) / fifth - sum(sizes[fifth : 2 * fifth]) / fifth


class Load:
    """Clients that ask until the time is up."""

    def __init__(self, client: httpx2.AsyncClient, base: str, models: list[str], report: Report, seed: int) -> None:
        self.client, self.base, self.models, self.report = client, base, models, report
        self.dice = random.Random(seed)
        self.assistant = ""

    async def run(self, clients: int, seconds: float) -> None:
        made = await self.client.post("/assistants", json={"model": self.base, "instructions": "Be short."})
        self.assistant = made.json()["id"]
        until = time.monotonic() + seconds
        await asyncio.gather(*(self._client(until) for _ in range(clients)))

    async def _client(self, until: float) -> None:
        kinds = [self.whole, self.stream, self.disconnect, self.cancel, self.hostile, self.tuned, self.converse]
        weights = [3, 3, 3, 2, 4, 4, 2]
        while time.monotonic() < until:
            (kind,) = self.dice.choices(kinds, weights)
            try:
                async with asyncio.timeout(STUCK):
                    await kind()
            except TimeoutError:
                self.report.wrong.append(f"{kind.__name__}: no end after {STUCK:.0f} s")
            except (httpx2.HTTPError, AssertionError, KeyError, IndexError) as exc:
                self.report.wrong.append(f"{kind.__name__}: {type(exc).__name__} {exc}")

    def _body(self, **fields) -> dict:
        words = " ".join(self.dice.choices(["Paris", "weather", "today", "capital", "Привет", "help"], k=8))
        messages = [{"role": "user", "content": words}]
        return {"model": self.base, "messages": messages, "max_tokens": self.dice.randrange(1, 80), **fields}

    async def _post(self, body: dict, allowed: set[int]) -> httpx2.Response:
        answer = await self.client.post("/chat/completions", json=body)
        self.report.ends[answer.status_code] += 1
        assert answer.status_code in allowed | {429}, f"{answer.status_code} {answer.text[:200]}"
        if answer.status_code == 429:
            await asyncio.sleep(min(float(answer.headers["retry-after"]), 2.0))
        return answer

    async def whole(self) -> None:
        answer = await self._post(self._body(), {200})
        assert answer.status_code == 429 or answer.json()["choices"][0]["finish_reason"] in ("stop", "length")

    async def stream(self, stop_after: int | None = None, **fields) -> None:
        body = self._body(stream=True, **fields)
        async with self.client.stream("POST", "/chat/completions", json=body) as answer:
            self.report.ends[answer.status_code] += 1
            assert answer.status_code in (200, 429), answer.status_code
            last, count = "", 0
            async for line in answer.aiter_lines():
                last, count = line or last, count + 1
                if stop_after is not None and count > stop_after:
                    self.report.ends["left a stream"] += 1
                    return
            assert answer.status_code == 429 or last == "data: [DONE]", last[:200]

    async def disconnect(self) -> None:
        await self.stream(self.dice.randrange(12), max_tokens=400, ignore_eos=True)

    async def cancel(self) -> None:
        asking = asyncio.create_task(self._post(self._body(max_tokens=600, ignore_eos=True), {200}))
        await asyncio.sleep(self.dice.random() * 0.5)
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asking
        self.report.ends["cancelled"] += 1

    async def hostile(self) -> None:
        fields, allowed = self.dice.choice(HOSTILE)
        await self._post(self._body(**fields), allowed)

    async def tuned(self) -> None:
        model = self.dice.choice(self.models)
        if self.dice.random() < 0.5:
            await self._post(self._body(model=model), {200})
        else:
            await self.stream(model=model)

    async def converse(self) -> None:
        """A thread with a run: read to its end, left in the middle, or cancelled."""
        message = {"role": "user", "content": "What is the capital of France?"}
        thread = (await self.client.post("/threads", json={"messages": [message]})).json()["id"]
        runs, body = f"/threads/{thread}/runs", {"assistant_id": self.assistant, "max_completion_tokens": 300}
        way = self.dice.choice(("read", "leave", "cancel"))
        if way == "cancel":
            run = (await self.client.post(runs, json=body)).json()["id"]
            await asyncio.sleep(self.dice.random() * 0.3)
            answer = await self.client.post(f"{runs}/{run}/cancel")
            assert answer.status_code in (200, 400), answer.text
        else:
            async with self.client.stream("POST", runs, json={**body, "stream": True}) as answer:
                assert answer.status_code == 200, answer.status_code
                async for line in answer.aiter_lines():
                    if way == "leave" and self.dice.random() < 0.2:
                        break
                    assert "thread.run.failed" not in line, line
        self.report.ends[f"run: {way}"] += 1
        if way != "leave":
            assert (await self.client.delete(f"/threads/{thread}")).status_code == 200


def prepare(home: Path, base: Path) -> list[str]:
    """Tuned models of ``base`` in the store of ``home``; their names."""
    store, names = Store.open(f"sqlite:///{home / 'hypotez.db'}", home), []
    decoder = load(base)
    attach(decoder, 4)
    for seed in range(ADAPTERS):
        initialise(decoder, 0, 4, 8.0, seed)
        for lora in loras(decoder):
            for b in lora.b:
                b.data.normal_(std=0.1)
        names.append(f"ft:{base.name}:personal::{seed:08d}")
        folder = home / "adapters" / str(seed)
        save_adapter(decoder, 0, folder, str(base))
        with store.write() as tx:
            private = {"root": base.name, "folder": str(base), "path": str(folder), "full": False}
            tx.documents.create("model", {"id": names[-1], "object": "model"}, project="default", private=private)
    store.close()
    return names


async def soak(home: Path, base: Path, *, seconds: float, clients: int, seed: int) -> Report:
    """Serve ``base`` in a process, load it, let it come to rest."""
    report, names = Report(), prepare(home, base)
    given = {"HOME": home, "ENGINE__ADAPTER_SLOTS": SLOTS, "ENGINE__CACHE_TOKENS": 8192, "ENGINE__MAX_QUEUE": 64}
    env = {**os.environ, **{f"HYPOTEZ_{name}": str(value) for name, value in given.items()}}
    command = [sys.executable, "-u", "-m", "hypotez", "serve", "--port", "0", "--model", str(base)]
    serving = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
    assert serving.stdout is not None
    try:
        url = next(found[0] for line in serving.stdout if (found := re.search(r"http://\S+?/v1", line)))
        limits = httpx2.Limits(max_connections=None)
        async with httpx2.AsyncClient(base_url=url, timeout=2 * STUCK, limits=limits) as client:
            load = Load(client, base.name, names, report, seed)
            watching = asyncio.create_task(_watch(psutil.Process(serving.pid), report, seconds))
            await load.run(clients, seconds)
            watching.cancel()
            await _rest(client, report, url)
    finally:
        serving.terminate()
        serving.wait(30)
    store = Store.open(f"sqlite:///{home / 'hypotez.db'}", home)
    with store.read() as tx:
        report.wrong += [f"{run.id} is {run.status}" for run in tx.documents.with_status(KIND, ACTIVE)]
    store.close()
    return report


async def _watch(process: psutil.Process, report: Report, seconds: float) -> None:
    begun = time.monotonic()
    while True:
        report.memory.append((time.monotonic() - begun, process.memory_info().rss))
        if len(report.memory) % 60 == 0:
            shown = f"{report.memory[-1][1] / 2**20:.0f} MiB, {sum(report.ends.values())}, wrong {len(report.wrong)}"
            print(f"{report.memory[-1][0]:.0f} s: {shown}", file=sys.stderr, flush=True)
        await asyncio.sleep(min(1.0, seconds / 50))


async def _rest(client: httpx2.AsyncClient, report: Report, url: str) -> None:
    """Wait until the server has nothing to do; what it holds then is what it lost."""
    until = time.monotonic() + STUCK
    while time.monotonic() < until:
        sample = Sample.of((await client.get(url.removesuffix("/v1") + "/metrics")).text, 0.0)
        (model,) = sample.models
        names = ("waiting", "running", "kv_blocks_used", "kv_blocks", "adapters", "adapter_loads_total",
                 "requests_total", "finished_total", "cancelled_total", "output_tokens_total")  # fmt: skip
        report.numbers = {name: sample.engine(name, model) for name in names}
        report.blocks_in_use = report.numbers["kv_blocks_used"]
        if not any(report.numbers[name] for name in ("waiting", "running", "kv_blocks_used")):
            return
        await asyncio.sleep(0.2)
    report.wrong.append(f"not at rest after {STUCK:.0f} s: {report.numbers}")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        base = options.model or model_folder(home / "tiny")
        ran = soak(home, base, seconds=60 * options.minutes, clients=options.clients, seed=options.seed)
        report = asyncio.run(ran)
    grown = report.grown() / 2**20
    for kind, count in sorted(report.ends.items(), key=str):
        print(f"{kind}: {count}")
    print(", ".join(f"{name} {value:.0f}" for name, value in report.numbers.items()))
    print(
        f"memory: highest {max(s for _, s in report.memory) / 2**20:.0f} MiB, last fifth {grown:+.1f} MiB to the second"
    )
    print(f"KV blocks in use at rest: {report.blocks_in_use:.0f}")
    for line, count in collections.Counter(report.wrong).most_common(20):
        print(f"WRONG {count} times: {line}")
    return int(bool(report.wrong) or report.blocks_in_use != 0 or grown > 64)


if __name__ == "__main__":
    sys.exit(main())
