"""Local models answered by vLLM, a process of ours or one that runs already, with our adapters loaded when asked for.

vLLM serves one base and its tuned models; every other local model stays with the engine in this process. vLLM must see
the folders of the adapters: the same machine, or the same disk. A deleted model is refused here before vLLM is asked.
"""

import asyncio
import logging
import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

from hypotez.backend import Card, Source
from hypotez.embedded.local import LocalModels, Models
from hypotez.errors import ServerError, SettingsError, UpstreamError
from hypotez.settings import EngineSettings, Upstream
from hypotez.upstream import UpstreamBackend

Json = dict[str, Any]

START_SECONDS = 900.0  # a large model is downloaded, loaded and compiled
LARGEST_RANK = 64  # of an adapter; vLLM wants to know before it starts

log = logging.getLogger(__name__)


class Vllm:
    """A ``Backend``. ``name`` is the base of ``models`` that vLLM has, ``rest`` answers for those of other bases."""

    def __init__(self, name: str, settings: EngineSettings, models: Models, rest: LocalModels) -> None:
        self._name, self._settings, self._source, self._rest = name, settings, models.source, rest
        self._process: subprocess.Popen[bytes] | None = None
        self._upstream: UpstreamBackend | None = None
        self._lock = asyncio.Lock()
        self._loaded: dict[str, float] = {}  # adapter by its name there: when its weights were written
        self._root = name  # the base's name there
        if settings.vllm_url is None and shutil.which("vllm") is None:
            raise SettingsError(
                "--backend vllm starts the `vllm` command, and there is none on the PATH.",
                hint="Install it (pip install vllm, in an environment of its own), or join one that runs: --vllm-url "
                "http://localhost:8000/v1.",
            )

    async def cards(self) -> Sequence[Card]:
        return await self._rest.cards()

    async def chat(self, body: Json) -> AsyncGenerator[Json]:
        source = self._source(body["model"])
        if source is None or source.base != self._base_folder():
            answering = self._rest.chat(body)
        else:
            upstream = await self._ready()
            answering = upstream.chat({**body, "model": await self._there(upstream, body["model"], source)})
        async with aclosing(answering) as chunks:
            async for chunk in chunks:
                yield chunk

    async def embed(self, model: str, texts: Sequence[str]) -> list[list[float]]:
        return await self._rest.embed(model, texts)

    async def warm(self, model: str) -> None:
        """Start vLLM now, or the engine for another model."""
        if model == self._name:
            await self._ready()
        else:
            await self._rest.warm(model)

    def metrics(self) -> Mapping[str, Mapping[str, Any]]:
        return self._rest.metrics()

    def adapters(self) -> Mapping[str, Sequence[str]]:
        return {**self._rest.adapters(), self._name: list(self._loaded)}

    async def aclose(self) -> None:
        await self._rest.aclose()
        if self._upstream is not None:
            await self._upstream.aclose()
        if self._process is not None:
            self._process.terminate()
            try:
                await asyncio.to_thread(self._process.wait, 20)
            except subprocess.TimeoutExpired:
                self._process.kill()

    def _base_folder(self) -> str:
        found = self._source(self._name)
        assert found is not None, "the base is one of the settings"
        return found.base

    async def _there(self, upstream: UpstreamBackend, name: str, source: Source) -> str:
        """The name that vLLM knows the model by; its adapter is loaded first, or again once trained anew."""
        if source.adapter is None:
            return self._root
        written = (source.adapter / "adapter_model.safetensors").stat().st_mtime
        async with self._lock:
            if self._loaded.get(name) != written:
                if name in self._loaded:
                    await upstream.tell("unload_lora_adapter", {"lora_name": name})
                    del self._loaded[name]
                await self._load(upstream, name, source.adapter)
                self._loaded[name] = written
        return name

    async def _load(self, upstream: UpstreamBackend, name: str, folder: Path) -> None:
        try:
            await upstream.tell("load_lora_adapter", {"lora_name": name, "lora_path": str(folder.resolve())})
        except UpstreamError as exc:
            if "already" not in exc.message:  # of an earlier life of ours, on a vLLM that was joined
                cure = "It needs --enable-lora, VLLM_ALLOW_RUNTIME_LORA_UPDATING=True and a disk that both see."
                raise UpstreamError(f"vLLM did not load {name}: {exc.message}", hint=cure) from exc

    async def _ready(self) -> UpstreamBackend:
        async with self._lock:
            if self._upstream is None:
                url = self._settings.vllm_url or await self._start()
                upstream = UpstreamBackend(Upstream(base_url=url))
                cards = await upstream.cards()
                if not cards:
                    await upstream.aclose()
                    raise ServerError(f"No vLLM answers at {url}.", hint="Start it, or leave --vllm-url out.")
                if self._settings.vllm_url is not None:
                    self._root = cards[0].id  # the base comes first, then its adapters
                self._upstream = upstream
            return self._upstream

    async def _start(self) -> str:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        slots = self._settings.adapter_slots
        command = ["vllm", "serve", self._base_folder(), "--host", "127.0.0.1", "--port", str(port)]
        command += ["--served-model-name", self._name, "--enable-lora", "--max-lora-rank", str(LARGEST_RANK)]
        command += ["--max-loras", str(min(slots, 8)), "--max-cpu-loras", str(slots)]
        env = {**os.environ, "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True"}
        log.info("Starting %s", " ".join(command))
        self._process = process = subprocess.Popen(command, env=env)
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and process.poll() is None:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:  # it listens once the model is loaded
                await asyncio.sleep(0.2)
                continue
            writer.close()
            return f"http://127.0.0.1:{port}/v1"
        process.kill()
        raise ServerError(f"vLLM did not start (exit code {process.wait()}); what it said is above.")
