"""Models that grade: a grader's question goes where a chat request of the same project would go."""

from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

from hypotez.errors import ModelNotFound
from hypotez.grading.outcome import Usage, Verdict
from hypotez.wire.completions import Gathered
from hypotez.worker.routing import Router

Json = dict[str, Any]

EMBEDDING = "text-embedding-3-large"  # what OpenAI's cosine grader uses; without it the default local model embeds


class RoutedJudge:
    """A ``grading.outcome.Judge`` for one project."""

    def __init__(self, router: Router, project: str) -> None:
        self._router, self._project = router, project

    async def ask(self, body: Json) -> Verdict:
        route = await self._router.route(body["model"], self._project)
        gathered = Gathered()
        async with aclosing(route.backend.chat({**body, "model": route.model})) as chunks:
            async for chunk in chunks:
                gathered.add(chunk)
        message, spent = gathered.message(), gathered.usage or {}
        usage = Usage(int(spent.get("prompt_tokens") or 0), int(spent.get("completion_tokens") or 0))
        return Verdict(message.get("content") or "", message.get("refusal"), usage)

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        try:
            route = await self._router.route(EMBEDDING, self._project)
        except ModelNotFound:
            if self._router.default is None:
                raise
            route = await self._router.route(self._router.default, self._project)
        return await route.backend.embed(route.model, texts)
