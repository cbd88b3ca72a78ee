"""The local models and the engine behind them, which is loaded when it is first needed: torch takes seconds."""

import asyncio
import json
import math
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypotez import pocket
from hypotez.backend import Card, Source
from hypotez.errors import MissingExtra, SettingsError
from hypotez.nn.config import is_built_in
from hypotez.settings import Settings
from hypotez.store import Store

if TYPE_CHECKING:
    from hypotez.engine.generate import GenerateBackend
    from hypotez.engine.local import LocalBackend
    from hypotez.engine.metrics import Histogram

Json = dict[str, Any]

POCKET = "pocket"
_SPINS = "5000"  # about 50 microseconds, longer than most waits of a step


def base_folders(settings: Settings) -> dict[str, str]:
    """Local models by name, the default one first: its folder, or its repository on Hugging Face.

    Raises ``SettingsError`` for a default that is neither; whether a repository is there shows when it is loaded.
    """
    wanted = settings.engine.model
    if wanted != POCKET and settings.engine.backend == "embedded":
        _check(wanted)
    bases = {} if wanted == POCKET else {_name(wanted): wanted}
    return {**bases, POCKET: str(pocket.FOLDER)}


def _check(model: str) -> None:
    folder = Path(model).expanduser()
    what = None
    if folder.is_dir():
        what = None if (folder / "config.json").is_file() else f"{folder} holds no model: it has no config.json."
    elif model.count("/") != 1 or model.startswith((".", "/", "~")):
        what = f"There is no model '{model}'."
    if what is not None:
        cure = "A model is `pocket`, a folder as Hugging Face writes them, or a repository such as Qwen/Qwen3-0.6B."
        raise SettingsError(what, hint=cure)


def _name(model: str) -> str:
    folder = Path(model).expanduser()
    return folder.resolve().name if folder.is_dir() else model


class Models:
    """Where a model's weights are: the bases of the settings, and the tuned ones of the store."""

    def __init__(self, store: Store, bases: dict[str, str]) -> None:
        self._store = store
        self._bases = {name: Source(folder, None, _card(name, folder)) for name, folder in bases.items()}

    def cards(self) -> Sequence[Card]:
        """Of the bases; which tuned models there are depends on who asks, so the server lists those."""
        return [source.card for source in self._bases.values()]

    def source(self, name: str) -> Source | None:
        if name in self._bases:
            return self._bases[name]
        with self._store.read() as tx:
            found = tx.documents.find("model", name)
        if found is None:
            return None
        mine = found.private
        if mine.get("full"):
            return Source(mine["path"], None, Card(name, context_window=_window(mine["path"])))
        return Source(mine["folder"], Path(mine["path"]), Card(name, context_window=_window(mine["folder"])))


def _card(name: str, folder: str) -> Card:
    config = _config(folder)
    return Card(
        name,
        context_window=_window(folder),
        sees_images="vision_config" in (config or {}),
        trainable=config is None or is_built_in(config),
        extra={"parameters": _parameters(folder)},
    )


class LocalModels:
    """A ``Backend``: the engine, made at the first request or by ``warm``."""

    def __init__(self, models: Models, settings: Settings) -> None:
        self._models, self._settings = models, settings
        self._engine: LocalBackend | None = None
        self._known: dict[str, bool] = {}  # whether the engine's decoder is meant for a base
        self._others: dict[str, GenerateBackend] = {}  # those that it is not
        self._lock = asyncio.Lock()

    async def cards(self) -> Sequence[Card]:
        return self._models.cards()

    async def chat(self, body: Json) -> AsyncGenerator[Json]:
        engine = await self._for(body["model"])
        async with aclosing(engine.chat(body)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def embed(self, model: str, texts: Sequence[str]) -> list[list[float]]:
        return await (await self._for(model)).embed(model, texts)

    async def warm(self, model: str) -> None:
        """Load ``model`` now, so that the first question need not wait for it."""
        engine = await self._for(model)
        if engine is self._engine:
            await self._engine.warm(model)

    def metrics(self) -> "dict[str, dict[str, float | Histogram]]":
        return self._engine.metrics() if self._engine is not None else {}

    def adapters(self) -> dict[str, list[str]]:
        return self._engine.adapters() if self._engine is not None else {}

    async def aclose(self) -> None:
        for engine in (self._engine, *self._others.values()):
            if engine is not None:
                await engine.aclose()

    async def _for(self, model: str) -> "LocalBackend | GenerateBackend":
        """The engine, or transformers for a base that the engine's decoder does not know."""
        engine, source = await self._ready(), self._models.source(model)
        if source is None:
            return engine
        async with self._lock:
            if source.base not in self._known:
                self._known[source.base] = await asyncio.to_thread(_is_known, source.base)
            if self._known[source.base]:
                return engine
            if source.base not in self._others:
                self._others[source.base] = await asyncio.to_thread(_generate, source.base, model, self._settings)
            return self._others[source.base]

    async def _ready(self) -> "LocalBackend":
        async with self._lock:
            if self._engine is None:
                self._engine = await asyncio.to_thread(_engine, self._models, self._settings)
            return self._engine


def import_torch() -> None:
    """Import torch so that its threads wait for one another awake for a moment only, and then sleep.

    The engine shares its cores with the server's loop and its clients. A thread that spins for milliseconds, as is
    OpenMP's default, keeps a core from whoever it waits for: on two busy cores a step of 25 ms took over 400. One that
    sleeps at once is woken too late: 28 ms instead of 14 on idle ones. A policy of the user's stays.
    """
    if "OMP_WAIT_POLICY" in os.environ or "GOMP_SPINCOUNT" in os.environ:
        return
    os.environ["GOMP_SPINCOUNT"] = _SPINS
    try:
        import torch  # noqa: F401  (OpenMP reads the variable now, and never again)
    finally:
        del os.environ["GOMP_SPINCOUNT"]  # not for the processes that we start


def _engine(models: Models, settings: Settings) -> "LocalBackend":
    try:
        import_torch()
        from hypotez.engine.engine import EngineOptions
        from hypotez.engine.local import LocalBackend, LocalOptions
    except ImportError as exc:
        raise MissingExtra("local", f"A local model ({exc.name} is not installed)") from exc
    mine = settings.engine
    engine = EngineOptions(
        max_batch=mine.max_batch,
        max_queue=mine.max_queue,
        cache_tokens=mine.cache_tokens,
        adapter_slots=mine.adapter_slots,
        cuda_graphs=mine.cuda_graphs,
    )
    options = LocalOptions(mine.dtype, mine.device, mine.threads, mine.weights, engine)
    return LocalBackend(models.source, models.cards, options)


def _is_known(base: str) -> bool:
    from hypotez.nn.load import find

    return is_built_in(_config(str(find(base))) or {})


def _generate(base: str, name: str, settings: Settings) -> "GenerateBackend":
    from hypotez.engine.generate import GenerateBackend

    mine = settings.engine
    return GenerateBackend.open(base, name, mine.dtype, mine.device, mine.max_queue)


def _config(folder: str) -> Json | None:
    """The model's ``config.json``, where it lies on this disk."""
    try:
        config: Json = json.loads((Path(folder).expanduser() / "config.json").read_text())
        return config
    except (OSError, ValueError):
        return None


def _window(folder: str) -> int | None:
    """Positions the model knows."""
    config = _config(folder) or {}
    found = config.get("max_position_embeddings") or config.get("n_positions")
    return found if isinstance(found, int) else None


def _parameters(folder: str) -> int | None:
    """Weights of the model, from the headers of its safetensors files; ``None`` for what is not on this disk."""
    try:
        return sum(map(_numbers, Path(folder).expanduser().glob("*.safetensors"))) or None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _numbers(file: Path) -> int:
    with file.open("rb") as opened:
        header = json.loads(opened.read(int.from_bytes(opened.read(8), "little")))
    return sum(math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")
