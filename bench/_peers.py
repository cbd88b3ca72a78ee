"""Servers to be asked: ours, llama.cpp's, ``transformers serve``. Each is started, asked by raw sockets, stopped.

All get the same number of prompt tokens (those that take ids the same ids), write the same number of new ones greedily,
and send each token as it comes. A round's figures are tokens per second, p95 of the seconds to the first token, and
tokens per second of the server's processor time, which the clients' own does not touch.
"""

import asyncio
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from _http import Connection, Stream

Row = tuple[float, float | None, float | None]


@dataclass
class Server:
    """``body`` makes a request of a prompt's ids; ``home`` is removed with the server."""

    process: subprocess.Popen
    port: int
    path: str
    body: Callable[[list[int]], dict]
    new: Callable[[dict], int]  # tokens told by one event, or 0
    home: tempfile.TemporaryDirectory = field(default_factory=tempfile.TemporaryDirectory)

    def ask(self, prompts: list[list[int]]) -> Row:
        before = self._processor()
        seconds, answers = asyncio.run(self._round(prompts))
        tokens, spent = sum(count for _, count in answers), max(self._processor() - before, 0.01)
        return tokens / seconds, p95([first for first, _ in answers]), tokens / spent

    def memory(self) -> int:
        """Bytes in memory."""
        return psutil.Process(self.process.pid).memory_info().rss

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)
        self.home.cleanup()

    def _processor(self) -> float:
        spent = psutil.Process(self.process.pid).cpu_times()
        return spent.user + spent.system

    async def _round(self, prompts: list[list[int]]) -> tuple[float, list[tuple[float, int]]]:
        streams = await asyncio.gather(*(Stream.open(self.port) for _ in prompts))
        begun = time.perf_counter()
        await asyncio.gather(*(s.post(self.path, self.body(p)) for s, p in zip(streams, prompts, strict=True)))
        took = time.perf_counter() - begun
        return took, [(stream.first - begun, self._tokens(stream)) for stream in streams]

    def _tokens(self, stream: Stream) -> int:
        tokens = 0
        for line in stream.lines():
            if line.startswith(b"data: {"):
                told = json.loads(line[6:])
                if "error" in told:
                    raise SystemExit(f"{self.path}: {told['error']}")
                tokens = self.new(told) or tokens
        return tokens


def p95(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=20)[-1] if len(seconds) > 1 else seconds[0]


def letters(prompt: list[int], count: int) -> str:
    """So many letters, each a token of the bench's tokenizer."""
    return "".join(chr(ord("a") + token % 26) for token in prompt[:count])


def hypotez(folder: Path, new: int, threads: int | None, template: int, **engine: object) -> Server:
    """``hypotez serve``; ``template`` tokens of the prompt are the chat template's, ``engine`` are settings."""
    home = tempfile.TemporaryDirectory()
    given = {**engine, **({"threads": threads} if threads else {})}
    env = {**os.environ, "HYPOTEZ_HOME": home.name}
    env |= {f"HYPOTEZ_ENGINE__{name.upper()}": str(value) for name, value in given.items()}
    command = [sys.executable, "-u", "-m", "hypotez", "serve", "--port", "0", "--model", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
    port = next((int(found[1]) for line in process.stdout if (found := re.search(r"http://[^:]+:(\d+)/v1", line))), 0)
    if not port:
        raise SystemExit("hypotez serve did not start")

    def body(prompt: list[int]) -> dict:
        messages = [{"role": "user", "content": letters(prompt, len(prompt) - template)}]
        return {"model": folder.name, "messages": messages, "max_tokens": new, "temperature": 0, "ignore_eos": True,
                "stream": True, "stream_options": {"include_usage": True}}  # fmt: skip

    return Server(process, port, "/v1/chat/completions", body, _usage, home)


def llama_server(binary: Path, folder: Path, kind: str, new: int, threads: int | None, slots: int = 32) -> Server:
    """llama.cpp's server on the same weights as ``kind`` (bf16, q8_0), continuous batching over ``slots``."""
    from hypotez.export import write_gguf

    home = tempfile.TemporaryDirectory()
    file = Path(home.name) / "model.gguf"
    write_gguf(str(folder), None, file, kind)
    port = _free_port()
    command = [binary, "-m", file, "--port", port, "-np", slots, "-c", slots * 256, "-t", threads or os.cpu_count()]
    command += ["--cont-batching", "--no-webui", "--cache-ram", "0"]
    process = subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _wait(process, port, f"{binary}")

    def body(prompt: list[int]) -> dict:
        return {"prompt": prompt, "n_predict": new, "temperature": 0, "ignore_eos": True, "stream": True,
                "cache_prompt": False}  # fmt: skip

    return Server(process, port, "/completion", body, lambda told: told.get("tokens_predicted", 0), home)


def transformers_serve(folder: Path, new: int, threads: int | None, batching: bool, device: str = "cpu") -> Server:
    """``transformers serve``, with its continuous batching or, as it comes, one request after another."""
    port = _free_port()
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(folder), "--port", str(port)]
    command += ["--host", "127.0.0.1", "--device", device, "--dtype", "bfloat16", "--log-level", "error"]
    command += ["--continuous-batching", "--cb-num-blocks", "512"] if batching else []
    env = {**os.environ, **({"OMP_NUM_THREADS": str(threads)} if threads else {})}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)
    _wait(process, port, "transformers serve")

    def body(prompt: list[int]) -> dict:
        text = letters(prompt, len(prompt))
        return {"model": str(folder), "prompt": text, "max_tokens": new, "temperature": 0, "stream": True}

    return Server(process, port, "/v1/completions", body, _usage)


def _usage(told: dict) -> int:
    return (told.get("usage") or {}).get("completion_tokens", 0)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def _wait(process: subprocess.Popen, port: int, name: str, seconds: float = 300.0) -> None:
    """Until /health says 200: a server that loads its model yet answers 503 or not at all."""
    until = time.monotonic() + seconds

    async def ask() -> bool:
        connection = Connection(port)
        await connection.open()
        try:
            await connection.send("GET", "/health")
            return (await connection.head())[0] == 200
        finally:
            connection.close()

    while time.monotonic() < until and process.poll() is None:
        try:
            if asyncio.run(ask()):
                return
        except (OSError, asyncio.IncompleteReadError):
            pass
        time.sleep(0.2)
    process.kill()
    raise SystemExit(f"{name} did not start")
