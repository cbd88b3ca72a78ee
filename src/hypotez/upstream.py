"""A backend elsewhere: forwards a request as it is and hands on what comes back, errors included.

Speaks HTTP with the library the official SDK uses. Its key appears in no error and no log.
"""

import json
import time
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import httpx2

from hypotez.backend import Card
from hypotez.errors import UpstreamError
from hypotez.settings import Upstream

Json = dict[str, Any]

CARDS_SECONDS = 60.0  # how long the upstream's list of models is believed
KEPT_HEADERS = ("retry-after", "retry-after-ms", "x-should-retry")


class UpstreamBackend:
    """One upstream. ``transport`` is for tests."""

    def __init__(self, upstream: Upstream, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        self.url = upstream.base_url.rstrip("/")
        self._key = upstream.api_key.get_secret_value() if upstream.api_key else ""
        base = httpx2.URL(upstream.base_url)
        headers = {"user-agent": "hypotez"}
        if self._key:
            headers |= {"authorization": f"Bearer {self._key}", "api-key": self._key} if _is_azure(base) else {
                "authorization": f"Bearer {self._key}"
            }  # fmt: skip
        timeout = httpx2.Timeout(upstream.timeout, connect=min(10.0, upstream.timeout))
        limits = httpx2.Limits(max_connections=1000, max_keepalive_connections=100)
        self._base = base
        self._client = httpx2.AsyncClient(headers=headers, timeout=timeout, limits=limits, transport=transport)
        self._cards: Sequence[Card] = []
        self._cards_at = float("-inf")

    async def cards(self) -> Sequence[Card]:
        """The upstream's list of models; empty while it cannot be reached, so that our own list never fails."""
        if time.monotonic() - self._cards_at > CARDS_SECONDS:
            self._cards_at = time.monotonic()
            try:
                body = await self._send("GET", "models", None, timeout=5.0)
                self._cards = [
                    Card(str(model["id"]), str(model.get("owned_by") or "upstream"), int(model.get("created") or 0))
                    for model in body.get("data", [])
                ]
            except (UpstreamError, KeyError, TypeError, ValueError):
                self._cards = []
        return self._cards

    async def chat(self, body: Json) -> AsyncGenerator[Json]:
        options = {**(body.get("stream_options") or {}), "include_usage": True}
        sent = {**body, "stream": True, "stream_options": options}
        request = self._client.build_request("POST", self._at("chat/completions"), json=sent)
        try:
            response = await self._client.send(request, stream=True)
            try:
                if response.status_code >= 400:
                    raise self._refused(response, await response.aread())
                async for line in response.aiter_lines():
                    if line.startswith("data:") and (data := line[5:].strip()) not in ("", "[DONE]"):
                        yield self._chunk(data)
            finally:
                await response.aclose()
        except httpx2.HTTPError as exc:
            raise self._unreachable(exc) from exc

    async def embed(self, model: str, texts: Sequence[str]) -> list[list[float]]:
        body = await self.forward("embeddings", {"model": model, "input": list(texts), "encoding_format": "float"})
        rows = sorted(body["data"], key=lambda row: int(row["index"]))
        return [row["embedding"] for row in rows]

    async def forward(self, path: str, body: Json) -> Json:
        """POST ``body`` as it is and return the answer as it is."""
        return await self._send("POST", path, body)

    async def tell(self, path: str, body: Json) -> None:
        """POST ``body`` to ``path`` under the upstream's /v1, whose answer need not be JSON."""
        try:
            response = await self._client.post(self._at(path), json=body)
        except httpx2.HTTPError as exc:
            raise self._unreachable(exc) from exc
        if response.status_code >= 400:
            raise self._refused(response, response.content)

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _send(self, method: str, path: str, body: Json | None, timeout: float | None = None) -> Json:
        extra: Json = {} if timeout is None else {"timeout": timeout}
        try:
            response = await self._client.request(method, self._at(path), json=body, **extra)
        except httpx2.HTTPError as exc:
            raise self._unreachable(exc) from exc
        if response.status_code >= 400:
            raise self._refused(response, response.content)
        try:
            answer = response.json()
        except ValueError as exc:
            raise UpstreamError(f"The upstream {self.url} did not answer with JSON.") from exc
        if not isinstance(answer, dict):
            raise UpstreamError(f"The upstream {self.url} did not answer with a JSON object.")
        return answer

    def _at(self, path: str) -> httpx2.URL:
        # a query stays where it is: Azure's ?api-version=...
        return self._base.copy_with(path=f"{self._base.path.rstrip('/')}/{path}")

    def _chunk(self, data: str) -> Json:
        try:
            chunk = json.loads(data)
        except ValueError as exc:
            raise UpstreamError(f"The upstream {self.url} sent a broken event.") from exc
        if isinstance(chunk, dict) and chunk.get("error"):
            raise self._told(chunk["error"], 502)
        if not isinstance(chunk, dict):
            raise UpstreamError(f"The upstream {self.url} sent a broken event.")
        return chunk

    def _refused(self, response: httpx2.Response, content: bytes) -> UpstreamError:
        """The upstream's own error, status and headers kept, so that clients retry or stop as they would there."""
        try:
            body = json.loads(content)
        except ValueError:
            body = None
        told = body.get("error") or body if isinstance(body, dict) else None
        if not isinstance(told, str) and not (isinstance(told, dict) and told.get("message")):
            told = self._strange(response.status_code, content.decode("utf-8", "replace").strip())
        error = self._told(told, response.status_code)
        headers = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
        headers |= {name: value for name, value in response.headers.items() if name.startswith("x-ratelimit-")}
        if error.code == "insufficient_quota":
            headers["x-should-retry"] = "false"
        error.headers = headers
        return error

    def _strange(self, status: int, text: str) -> str:
        """What is said of an answer that is not OpenAI's: whose it was, and why that may be."""
        said = f": {text[:500].rstrip('.')}" if text and not text.startswith("<") else ""
        bare = status == 404 and not self._base.path.rstrip("/").endswith("/v1")
        hint = " Its address usually ends in /v1." if bare else ""
        return f"The upstream {self.url} answered with status {status}{said}.{hint}"

    def _told(self, told: Any, status: int) -> UpstreamError:
        fields = told if isinstance(told, dict) else {"message": str(told)}
        message = str(fields.get("message") or f"The upstream {self.url} answered with status {status}.")
        code, param = fields.get("code"), fields.get("param")
        error = UpstreamError(self._safe(message), param=None if param is None else self._safe(str(param)))
        error.status, error.type = status, str(fields.get("type") or "upstream_error")
        error.code = None if code is None else str(code)
        return error

    def _unreachable(self, exc: httpx2.HTTPError) -> UpstreamError:
        timed_out = isinstance(exc, httpx2.TimeoutException)
        reason = "gave no answer in time" if timed_out else f"cannot be reached: {exc or type(exc).__name__}"
        error = UpstreamError(self._safe(f"The upstream {self.url} {reason}."))
        error.status = 504 if timed_out else 502
        return error

    def _safe(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text


def _is_azure(url: httpx2.URL) -> bool:
    return url.host.endswith((".azure.com", ".azure.us", ".azure.cn"))
