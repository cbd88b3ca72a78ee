"""Chat over HTTP from the built-in model at 1, 8 and 32 streaming clients: tokens per second, time to first token."""

import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
from statistics import median, quantiles

from openai import AsyncOpenAI

NEW_TOKENS = 64
SECONDS = 12.0  # per number of clients
CLIENTS = (1, 8, 32)
PROMPT = "Tell me everything you know about the capital of France and about gold. " * 3


async def answer(client: AsyncOpenAI, number: int) -> tuple[float, int]:
    """One streamed answer: seconds to its first token, and its number of tokens."""
    begun, first, tokens = time.perf_counter(), 0.0, 0
    stream = await client.chat.completions.create(
        model="pocket",
        messages=[{"role": "user", "content": f"{number}. {PROMPT}"}],
        max_tokens=NEW_TOKENS,
        stream=True,
        stream_options={"include_usage": True},
        extra_body={"ignore_eos": True},
    )
    async for chunk in stream:
        first = first or (time.perf_counter() - begun if chunk.choices and chunk.choices[0].delta.content else 0.0)
        tokens = chunk.usage.completion_tokens if chunk.usage else tokens
    return first, tokens


async def load(url: str, clients: int) -> tuple[float, list[float]]:
    """Tokens per second and times to first token of ``clients`` that ask without pause."""
    client = AsyncOpenAI(base_url=url, api_key="none", max_retries=0)
    firsts: list[float] = []
    begun, tokens = time.perf_counter(), 0

    async def one(number: int) -> None:
        nonlocal tokens
        while time.perf_counter() - begun < SECONDS:
            first, count = await answer(client, number)
            firsts.append(first)
            tokens += count

    await asyncio.gather(*(one(number) for number in range(clients)))
    return tokens / (time.perf_counter() - begun), firsts


def address(serving: "subprocess.Popen[str]") -> str:
    assert serving.stdout
    return next(found[0] for line in serving.stdout if (found := re.search(r"http://\S+?/v1", line)))


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, "-m", "hypotez", "serve", "--port", "0"]
        env = {**os.environ, "HYPOTEZ_HOME": home}
        serving = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
        try:
            url = address(serving)
            asyncio.run(load(url, 1))  # loads the model
            measured = {clients: asyncio.run(load(url, clients)) for clients in CLIENTS}
        finally:
            serving.terminate()
            serving.wait()
    print("| clients | tokens per second | first token, median ms | p95 ms |")
    print("|---|---|---|---|")
    for clients, (rate, firsts) in measured.items():
        p95 = quantiles(firsts, n=20)[-1] if len(firsts) > 1 else firsts[0]
        print(f"| {clients} | {rate:.0f} | {median(firsts) * 1000:.0f} | {p95 * 1000:.0f} |")


if __name__ == "__main__":
    main()
