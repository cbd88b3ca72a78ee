"""Which backend serves a model name: local or ``ft:``, else alias, else an upstream's pattern, else OpenAI's 404.

Knows documents of kind "model" (tuned models, each its project's) and the ``Backend`` Protocol; no HTTP, no torch.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Protocol, runtime_checkable

from hypotez.backend import Backend, Card
from hypotez.errors import ModelNotFound
from hypotez.store import Document, Store

Json = dict[str, Any]

# what OpenAI switched off: programs written for these names go on, on the default model, when nobody else serves them
RETIRED = re.compile(r"gpt-(4o|4o-mini|4\.1|4\.1-mini)(-\d{4}-\d{2}-\d{2})?")

PERMISSION = "checkpoint.permission"  # documents under a tuned model: which other projects may use it


@dataclass(frozen=True, slots=True)
class Route:
    backend: Backend
    model: str  # the backend's own name for it
    local: bool


@dataclass(frozen=True, slots=True)
class Served:
    """A backend elsewhere and the patterns (fnmatch) of the names it serves."""

    backend: Backend
    patterns: Sequence[str]

    def serves(self, model: str) -> bool:
        return any(fnmatchcase(model, pattern) for pattern in self.patterns)


@runtime_checkable
class Forwarding(Protocol):
    """A backend elsewhere that takes requests as they are."""

    async def forward(self, path: str, body: Json) -> Json:
        """POST ``body`` to ``path`` under the backend's /v1; its answer, unchanged."""
        ...


class Router:
    def __init__(
        self,
        store: Store,
        local: Backend | None,
        upstreams: Sequence[Served] = (),
        aliases: Mapping[str, str] | None = None,
        default: str | None = None,  # the local model behind retired names
    ) -> None:
        self._store, self.local, self.upstreams = store, local, list(upstreams)
        self.aliases, self.default = dict(aliases or {}), default

    async def route(self, model: str, project: str) -> Route:
        """Where a request for ``model`` goes. Raises ``ModelNotFound``."""
        seen = {model}
        wanted = model
        while True:
            if self.local is not None and (await self._is_local(wanted) or self.tuned(wanted, project)):
                return Route(self.local, wanted, local=True)
            target = self.aliases.get(wanted)
            if target is None or target in seen:
                break
            seen.add(wanted := target)
        for served in self.upstreams:
            if served.serves(wanted):
                return Route(served.backend, wanted, local=False)
        if self.local is not None and self.default is not None and RETIRED.fullmatch(wanted):
            return Route(self.local, self.default, local=True)
        raise ModelNotFound(model, hint=f"Models here: {', '.join(await self.names(project)) or 'none'}.")

    def tuned(self, model: str, project: str) -> Document | None:
        """The document of a tuned model or checkpoint that this project owns or was permitted to use, or None."""
        if not model.startswith("ft:"):
            return None
        with self._store.read() as tx:
            found = tx.documents.find("model", model)
            if found is None or found.project == project:
                return found
            allowed = tx.documents.page(PERMISSION, parent=model, fields={"project_id": project}, limit=1)
            return found if allowed.items else None

    def base_of(self, model: str, bases: Mapping[str, str]) -> str | None:
        """The local model that training on ``model`` would start from: itself, an alias's, or the default's."""
        wanted = model
        for _ in range(len(self.aliases) + 1):
            if wanted in bases:
                return wanted
            if wanted not in self.aliases:
                break
            wanted = self.aliases[wanted]
        return self.default if RETIRED.fullmatch(wanted) and self.default in bases else None

    async def local_cards(self) -> Sequence[Card]:
        return await self.local.cards() if self.local is not None else []

    async def names(self, project: str) -> list[str]:
        """Local models, this project's tuned ones and the aliases."""
        with self._store.read() as tx:
            tuned = [model.id for model in tx.documents.page("model", project=project, limit=100).items]
        names = [*(card.id for card in await self.local_cards()), *tuned, *self.aliases]
        return list(dict.fromkeys(names))

    async def _is_local(self, model: str) -> bool:
        return any(card.id == model for card in await self.local_cards() if not model.startswith("ft:"))

    async def aclose(self) -> None:
        for backend in [self.local, *(served.backend for served in self.upstreams)]:
            if backend is not None:
                await backend.aclose()
