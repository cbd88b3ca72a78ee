"""Who is asking: API keys, their projects, and the caller of a request.

Keys lie in the store hashed; the plain key is shown once, when it is made. A server without any key (loopback
only, ``embedded.serve`` sees to that) asks for none, and everything belongs to the default project.
"""

import hashlib
import hmac
import ipaddress
import secrets
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from hypotez.errors import AuthenticationFailed, NotFound, PermissionDenied
from hypotez.store import Document, Store
from hypotez.store.document import Json
from hypotez.store.documents import MAIN
from hypotez.wire.ids import new_id

KIND = "api_key"
STREAM = "api_keys"  # tells every server on the store that keys were made or revoked


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: set for every request under /v1."""

    project: str
    admin: bool
    key: str | None = None  # id of the key, never the key
    per_minute: int | None = None  # requests
    max_body: int | None = None  # bytes of a request


class Keys:
    """Finds the caller of a key, in memory; hears of changes at once, of another process's a moment later."""

    def __init__(self, store: Store, master: str | None = None, *, needed: bool = False) -> None:
        self._store, self._master, self._needed = store, master, needed
        self._known: dict[str, Caller] | None = None  # sha256 of the key: its caller
        self._listening = ExitStack()  # as long as this object: the hub lets go of listeners nobody holds
        self._listening.enter_context(store.hub.listening(STREAM, self._forget))

    def caller(self, key: str | None) -> Caller:
        """Raises ``AuthenticationFailed`` in OpenAI's words."""
        known = self._fresh()
        if self.open():
            return Caller(MAIN, admin=True)
        if not key:
            raise AuthenticationFailed(
                "You didn't provide an API key. You need to provide your API key in an Authorization header using "
                "Bearer auth (i.e. Authorization: Bearer YOUR_KEY). Create one with `hypotez keys create`.",
                code=None,
            )
        if self._master is not None and hmac.compare_digest(key.encode(), self._master.encode()):
            return Caller(MAIN, admin=True)
        mine = hash_key(key)
        found: Caller | None = None
        for hashed, caller in known.items():  # every one of them: the time taken tells nothing
            if hmac.compare_digest(hashed, mine):
                found = caller
        if found is None:
            raise AuthenticationFailed(
                f"Incorrect API key provided: {_masked(key)}. `hypotez keys list` shows the keys of this server."
            )
        return found

    def open(self) -> bool:
        """Whether anybody may come in."""
        return not self._fresh() and self._master is None and not self._needed

    def _forget(self) -> None:
        self._known = None

    def _fresh(self) -> dict[str, Caller]:
        known = self._known
        if known is None:
            with self._store.read() as tx:
                keys = tx.documents.with_status(KIND, ["active", "revoked"])
            # who once made a key does not want an open door when the last one is revoked
            self._needed = self._needed or bool(keys)
            known = self._known = {key.private["sha256"]: _caller(key) for key in keys if key.status == "active"}
        return known


def _caller(key: Document) -> Caller:
    limits = key.body.get("limits") or {}
    return Caller(
        key.project, bool(key.body.get("admin")), key.id, limits.get("requests_per_minute"), limits.get("max_body")
    )


def caller_of(headers: Mapping[bytes, bytes], keys: Keys) -> Caller:
    """The caller of a request, from ``Authorization: Bearer`` or Azure's ``api-key``."""
    bearer = headers.get(b"authorization", b"").decode("latin-1")
    key = bearer[7:].strip() if bearer[:7].lower() == "bearer " else headers.get(b"api-key", b"").decode("latin-1")
    if keys.open():
        _refuse_strange_pages(headers)
    return keys.caller(key)


def _refuse_strange_pages(headers: Mapping[bytes, bytes]) -> None:
    """A server that asks for no key must not serve whatever web page its user happens to open.

    Such a page sends its own ``Origin``, or, with a name that it let point to this machine, a strange ``Host``.
    """
    for name, prefix in ((b"host", "//"), (b"origin", "")):
        value = headers.get(name, b"").decode("latin-1")
        if value and not _is_local(prefix + value):
            raise PermissionDenied(
                f"This server asks for no key, so it answers only what comes from this machine, not {value[:100]!r}. "
                "Create a key with `hypotez keys create NAME` to open it to others."
            )


@lru_cache(maxsize=64)  # every request has a Host, nearly always the same
def _is_local(url: str) -> bool:
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    return host == "localhost" or host.endswith(".localhost") or _is_address(host)


def _is_address(host: str) -> bool:
    """An address cannot be made to point elsewhere, as a name can."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def create_key(
    store: Store,
    name: str,
    *,
    project: str = MAIN,
    admin: bool = False,
    requests_per_minute: int | None = None,
    max_body: int | None = None,
) -> tuple[str, Json]:
    """Make a key; returns it in the clear, for the only time, and its object. ``max_body`` is in bytes per request."""
    key = f"sk-hypotez-{secrets.token_urlsafe(32)}"
    body = {
        "id": new_id("key"),
        "object": "api_key",
        "name": name,
        "project": project,
        "admin": admin,
        "limits": {"requests_per_minute": requests_per_minute, "max_body": max_body},
        "redacted_value": _masked(key),
        "created_at": int(time.time()),
        "status": "active",
    }
    with store.write() as tx:
        tx.documents.create(KIND, body, project=project, private={"sha256": hash_key(key)})
        tx.events.append(STREAM, "created", body["id"])
    return key, body


def list_keys(store: Store) -> list[Json]:
    """Every key that opens something, oldest first, without the key itself."""
    with store.read() as tx:
        return [key.body for key in tx.documents.with_status(KIND, ["active"])]


def revoke_key(store: Store, id: str) -> Document:
    """Close a key for good. ``NotFound`` when there is no such open key."""
    with store.write() as tx:
        moved = tx.documents.move(KIND, id, ["active"], "revoked")
        if moved is None:
            raise NotFound(f"No API key found with id '{id}'. `hypotez keys list` shows them.")
        tx.events.append(STREAM, "revoked", id)
        return moved


def hash_key(key: str) -> str:
    """A key has 256 random bits: a plain hash cannot be turned round, a slow one would cost every request."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def _masked(key: str) -> str:
    return f"{key[:7]}{'*' * 8}{key[-4:]}" if len(key) >= 16 else "*" * 8
