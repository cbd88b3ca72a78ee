"""Tells the user's own servers how jobs ended, signed as Standard Webhooks. How a request is sent is given to it.

The work is queued in the transaction that ends the job, so no end is forgotten, whoever was running then; it is
tried for about a day.
"""

import base64
import binascii
import hashlib
import hmac
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hypotez.errors import SettingsError
from hypotez.store import Store, WorkItem
from hypotez.worker.job_states import ENDED, KIND, WEBHOOK
from hypotez.worker.queue import Queue

Json = dict[str, Any]
Send = Callable[[str, Mapping[str, str], bytes], Awaitable[int]]  # url, headers, body: the status of the answer

PREFIX = "whsec_"
LAST_ATTEMPT = 1500  # waits double up to a minute, so this is about a day
CONCURRENCY = 4

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to, and the key that both sides know."""

    url: str
    key: bytes

    @classmethod
    def of(cls, url: str, secret: str) -> "Endpoint":
        """``secret`` as the official SDK takes it: ``whsec_`` and base64. Raises ``SettingsError``."""
        try:
            return cls(url, base64.b64decode(secret.removeprefix(PREFIX), validate=True))
        except binascii.Error as exc:
            raise SettingsError(f"The secret of the webhook {url} must be 'whsec_' and base64 text.") from exc


class Webhooks:
    """The sender of this process: ``run`` until cancelled."""

    def __init__(self, store: Store, endpoints: Sequence[Endpoint], send: Send) -> None:
        self._store, self._endpoints, self._send = store, endpoints, send
        self._queue = Queue(store, WEBHOOK, self._perform, concurrency=CONCURRENCY)

    async def run(self) -> None:
        await self._queue.run()

    async def _perform(self, item: WorkItem) -> None:
        with self._store.read() as tx:
            job = tx.documents.find(KIND, item.target)
        if job is not None and job.status in ENDED and item.attempts <= LAST_ATTEMPT:
            body = event(job.id, str(job.status), job.body["finished_at"])
            for endpoint in self._endpoints:
                status = await self._send(endpoint.url, signed(endpoint, body), body)
                if not 200 <= status < 300:
                    raise ConnectionError(f"the webhook {endpoint.url} answered with status {status}")
        with self._store.write() as tx:
            tx.work.finish(item)


def event(job: str, status: str, at: int) -> bytes:
    """OpenAI's event body. The id is the job's own, so that a receiver that saw it can leave a second one out."""
    digest = hashlib.sha256(f"{job} {status}".encode()).hexdigest()[:32]
    body = {"id": f"evt_{digest}", "object": "event", "created_at": at, "type": f"fine_tuning.job.{status}",
            "data": {"id": job}}  # fmt: skip
    return json.dumps(body, separators=(",", ":")).encode()


def signed(endpoint: Endpoint, body: bytes, now: float | None = None) -> Json:
    """The headers of Standard Webhooks: HMAC-SHA256 of id, time and body. https://www.standardwebhooks.com"""
    id = json.loads(body)["id"].replace("evt_", "wh_", 1)
    at = str(int(time.time() if now is None else now))
    digest = hmac.digest(endpoint.key, f"{id}.{at}.".encode() + body, "sha256")
    return {
        "content-type": "application/json",
        "user-agent": "hypotez",
        "webhook-id": id,
        "webhook-timestamp": at,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
