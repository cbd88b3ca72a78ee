"""Every API object is one row: a JSON body under a parent, with kind, project, status and version.

``body`` is what the API returns. ``private`` is ours beside it (a path, a request as it was sent) and
never leaves. Lists are one keyset query for all kinds (``pages.py``), ordered by time of creation, then by arrival.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

import sqlalchemy as sa

from hypotez.errors import InvalidRequest, NotFound
from hypotez.store.document import COLUMNS, Document, Json
from hypotez.store.pages import Order, page_statement
from hypotez.store.prepared import Connection, Prepared, Row, inserted
from hypotez.store.schema import documents, dump

MAIN = "default"  # the project of a server without keys

INSERT = Prepared(inserted(documents).returning(documents.c.seq))
UPDATE = Prepared(
    documents.update()
    .where(documents.c.seq == sa.bindparam("at"), documents.c.version == sa.bindparam("read"))
    .values({name: sa.bindparam(name) for name in ("version", "body", "private", "status")})
)
BY_ID = Prepared(sa.select(*COLUMNS).where(documents.c.id == sa.bindparam("id")))
TAKEN = Prepared(sa.select(documents.c.seq).where(documents.c.id == sa.bindparam("id")))
MADE_BY = Prepared(
    sa.select(*COLUMNS)
    .where(
        documents.c.request == sa.bindparam("request"),
        documents.c.kind == sa.bindparam("kind"),
        documents.c.created_at >= sa.bindparam("since"),
    )
    .order_by(documents.c.seq.desc())
)
DELETE = Prepared(documents.delete().where(documents.c.seq == sa.bindparam("seq")))
DELETE_CHILDREN = Prepared(documents.delete().where(documents.c.parent == sa.bindparam("parent")))
WITH_STATUS = Prepared(
    sa.select(*COLUMNS).where(documents.c.kind == sa.bindparam("kind"), documents.c.status == sa.bindparam("status"))
)


class Which(TypedDict, total=False):
    """What is in a list, and which part of it is asked for."""

    project: str | None
    parent: str | None
    limit: int  # 20 unless it is said
    order: Order  # "desc" unless it is said
    after: str | None  # ids in the page's own order, as in OpenAI's lists
    before: str | None
    metadata: Mapping[str, str] | None  # equal values in the body's metadata
    fields: Mapping[str, Any] | None  # equal values in the body


@dataclass(frozen=True, slots=True)
class Page:
    items: list[Document]
    has_more: bool


class Documents:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(
        self,
        kind: str,
        body: Json,
        *,
        project: str = MAIN,
        parent: str = "",
        private: Json | None = None,
        request: str | None = None,
    ) -> Document:
        """Insert ``body`` under its ``id``, ``created_at`` (now when absent) and ``status`` (may be absent).

        ``request`` is the fingerprint of the request that asked for it (``made_by``).
        """
        row = {
            "id": body["id"],
            "kind": kind,
            "project": project,
            "parent": parent,
            "created_at": body["created_at"] if "created_at" in body else int(time.time()),
            "status": body.get("status"),
            "version": 1,
            "body": dump(body),
            "private": dump(private) if private else "{}",
            "request": request,
        }
        return Document(self._connection.value(INSERT, **row), *row.values())

    def find(self, kind: str, id: str, *, project: str | None = None, parent: str | None = None) -> Document | None:
        """The document, or None when it is not there, not of this kind, project or parent."""
        row = self._connection.row(BY_ID, id=id)
        if row is None:
            return None
        found = Document(*row)
        if found.kind != kind or (project is not None and found.project != project):
            return None
        return None if parent is not None and found.parent != parent else found

    def get(self, kind: str, id: str, *, project: str | None = None, parent: str | None = None) -> Document:
        """As ``find``, but ``NotFound`` in OpenAI's words when there is none."""
        found = self.find(kind, id, project=project, parent=parent)
        if found is None:
            raise NotFound(f"No {kind.rpartition('.')[2].replace('_', ' ')} found with id '{id}'.")
        return found

    def taken(self, id: str) -> bool:
        """Whether any object of any project has this id."""
        return self._connection.row(TAKEN, id=id) is not None

    def made_by(self, request: str, kind: str, *, since: int) -> list[Document]:
        """What requests with this fingerprint created since a time in unix seconds, newest first."""
        return [Document(*row) for row in self._connection.rows(MADE_BY, request=request, kind=kind, since=since)]

    def change(
        self,
        document: Document,
        body: Mapping[str, Any] | None = None,
        *,
        private: Mapping[str, Any] | None = None,
    ) -> Document | None:
        """Merge the given fields. None when somebody else changed the row since ``document`` was read."""
        changed = document.merged(body, private)
        done = self._connection.run(
            UPDATE,
            at=document.seq,
            read=document.version,
            version=changed.version,
            body=changed.text,
            private=changed.private_text,
            status=changed.status,
        )
        return changed if done == 1 else None

    def move(
        self, kind: str, id: str, from_: Iterable[str], to: str, body: Mapping[str, Any] | None = None, **private: Any
    ) -> Document | None:
        """Change the status when it is one of ``from_``; None when it is not. Atomic inside the transaction."""
        found = self.find(kind, id)
        if found is None or found.status not in set(from_):
            return None
        return self.change(found, {**(body or {}), "status": to}, private=private)

    def delete(self, document: Document) -> bool:
        """Delete the row; children are the caller's to delete (``delete_children``)."""
        return self._connection.run(DELETE, seq=document.seq) == 1

    def delete_children(self, parent: str) -> int:
        return self._connection.run(DELETE_CHILDREN, parent=parent)

    def page(self, kind: str, **which: Unpack[Which]) -> Page:
        """One page, keyset. Raises ``InvalidRequest`` when a cursor is not an object of this list."""
        rows, has_more = self._page(True, kind, which)
        return Page([Document(*row) for row in rows], has_more)

    def page_texts(self, kind: str, **which: Unpack[Which]) -> tuple[list[tuple[str, str]], bool]:
        """As ``page``, but (id, JSON text of the body) and whether there is more: a list costs no parsing."""
        rows, has_more = self._page(False, kind, which)
        return [(id, text) for id, text in rows], has_more

    def _page(self, whole: bool, kind: str, which: Which) -> tuple[list[Row], bool]:
        project, parent = which.get("project"), which.get("parent")
        after, before = which.get("after"), which.get("before")
        metadata, fields = which.get("metadata") or {}, which.get("fields") or {}
        limit, forward = which.get("limit", 20), which.get("order", "desc") == "asc"
        values: Json = {"kind": kind, "project": project, "parent": parent, "limit": limit + 1}
        for name, cursor in (("after", after), ("before", before)):
            if cursor is not None:
                at = self.find(kind, cursor, project=project, parent=parent)
                if at is None:
                    raise InvalidRequest(f"No {kind} found with id '{cursor}' in this list.", param=name)
                values |= {f"{name}_at": at.created_at, f"{name}_seq": at.seq}
        values |= {f"name_{number}": name for number, name in enumerate(metadata)}
        values |= {f"metadata_{number}": value for number, value in enumerate(metadata.values())}
        values |= {f"field_{number}": value for number, value in enumerate(fields.values())}
        # `before` alone means the page that ends just before it: read backwards, then turn round
        backwards = before is not None and after is None
        query = page_statement(
            whole=whole,
            project=project is not None,
            parent=parent is not None,
            after=None if after is None else "later" if forward else "earlier",
            before=None if before is None else "earlier" if forward else "later",
            ascending=forward != backwards,
            metadata=len(metadata),
            fields=tuple(fields),
        )
        rows = self._connection.rows(query, **values)
        items = rows[:limit]
        return items[::-1] if backwards else items, len(rows) > limit

    def with_status(self, kind: str, statuses: Iterable[str]) -> list[Document]:
        """All documents of a kind in one of the states, oldest first, every project."""
        found = [row for status in statuses for row in self._connection.rows(WITH_STATUS, kind=kind, status=status)]
        return [Document(*row) for row in sorted(found)]
