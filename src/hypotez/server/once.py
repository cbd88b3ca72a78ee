"""Creation happens once, however often the client sends it.

The official SDK retries a POST after a lost connection, a timeout or a 5xx, with no key to tell the attempts
by; only ``x-stainless-retry-count`` grows. So every created object carries the fingerprint of the request that
made it, in the same row and thus the same transaction, and a retry looks for an object with its own fingerprint:

* the first attempt is still running: its transaction ends first, then the retry finds its object;
* the server was killed after the commit: the row is there;
* the server was killed before it: nothing is there, and the retry creates;
* the same text sent twice on purpose, and the second attempt lost: the first one's response was delivered
  (``Delivered``), so it is not what the retry asks for.

With an ``Idempotency-Key`` the key alone decides, delivered or not.
"""

import hashlib
import time
from dataclasses import dataclass, replace
from typing import Self

from starlette.requests import HTTPConnection

from hypotez.server.delivered import Delivered
from hypotez.store import Document, Transaction

WINDOW_SECONDS = 15 * 60  # the SDK gives up a request after ten minutes and waits two more at most
KEY_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class Once:
    fingerprint: str
    project: str
    path: str
    again: bool  # the client says that it may have sent this before
    keyed: bool
    delivered: Delivered

    @classmethod
    def of(cls, request: HTTPConnection, project: str, body: bytes, delivered: Delivered) -> Self:
        key = request.headers.get("idempotency-key")
        retries = request.headers.get("x-stainless-retry-count", "0")
        path = str(request.scope["path"])
        return cls(
            fingerprint=_digest(project, path, b"key " + key.encode() if key else body),
            project=project,
            path=path,
            again=key is not None or (retries.isdigit() and retries.strip("0") != ""),
            keyed=key is not None,
            delivered=delivered,
        )

    def over(self, content: bytes) -> Self:
        """The same for a request whose body is not at hand as bytes: an upload, known by its digest."""
        return self if self.keyed else replace(self, fingerprint=_digest(self.project, self.path, content))

    def find(self, tx: Transaction, kind: str) -> Document | None:
        """What an earlier attempt of this very request created, or None: then create it in this transaction."""
        if not self.again:
            return None
        since = int(time.time()) - (KEY_SECONDS if self.keyed else WINDOW_SECONDS)
        for made in tx.documents.made_by(self.fingerprint, kind, since=since):
            if self.keyed or made.id not in self.delivered:
                return made
        return None


def _digest(project: str, path: str, rest: bytes) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in (project.encode(), path.encode(), rest):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()
