"""Every API object is one row: a JSON body under a parent, with kind, project, status and version.

``body`` is what the API returns. ``private`` is ours beside it (a path, a request as it was sent) and
never leaves. Lists are one keyset query for all kinds, ordered by time of creation, then by arrival.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import sqlalchemy as sa

from hypotez.errors import InvalidRequest, NotFound
from hypotez.store.schema import documents

Json = dict[str, Any]
Order = Literal["asc", "desc"]
MAIN = "default"  # the project of a server without keys

# made once: building a statement costs more than SQLite takes to execute it
INSERT = documents.insert()
UPDATE = documents.update().where(documents.c.seq == sa.bindparam("at"), documents.c.version == sa.bindparam("read"))
BY_ID = sa.select(documents).where(documents.c.id == sa.bindparam("wanted"))


@dataclass(frozen=True, slots=True)
class Document:
    seq: int
    id: str
    kind: str
    project: str
    parent: str
    created_at: int
    status: str | None
    version: int
    body: Json
    private: Json
    request: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    items: list[Document]
    has_more: bool


class Documents:
    def __init__(self, connection: sa.Connection) -> None:
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
            "body": body,
            "private": private or {},
            "request": request,
        }
        (seq,) = self._connection.execute(INSERT, row).inserted_primary_key or (0,)
        return Document(seq=seq, **row)

    def find(self, kind: str, id: str, *, project: str | None = None, parent: str | None = None) -> Document | None:
        """The document, or None when it is not there, not of this kind, project or parent."""
        row = self._connection.execute(BY_ID, {"wanted": id}).first()
        if row is None or row.kind != kind:
            return None
        if (project is not None and row.project != project) or (parent is not None and row.parent != parent):
            return None
        return Document(*row)

    def get(self, kind: str, id: str, *, project: str | None = None, parent: str | None = None) -> Document:
        """As ``find``, but ``NotFound`` in OpenAI's words when there is none."""
        found = self.find(kind, id, project=project, parent=parent)
        if found is None:
            raise NotFound(f"No {kind.rpartition('.')[2].replace('_', ' ')} found with id '{id}'.")
        return found

    def taken(self, id: str) -> bool:
        """Whether any object of any project has this id."""
        return self._connection.scalar(sa.select(documents.c.seq).where(documents.c.id == id)) is not None

    def made_by(self, request: str, kind: str, *, since: int) -> list[Document]:
        """What requests with this fingerprint created since a time in unix seconds, newest first."""
        query = sa.select(documents).where(
            documents.c.request == request, documents.c.kind == kind, documents.c.created_at >= since
        )
        return [Document(*row) for row in self._connection.execute(query.order_by(documents.c.seq.desc()))]

    def change(
        self,
        document: Document,
        body: Mapping[str, Any] | None = None,
        *,
        private: Mapping[str, Any] | None = None,
    ) -> Document | None:
        """Merge the given fields. None when somebody else changed the row since ``document`` was read."""
        changed = replace(
            document,
            body={**document.body, **(body or {})},
            private={**document.private, **(private or {})},
            version=document.version + 1,
        )
        changed = replace(changed, status=changed.body.get("status"))
        written = {
            "version": changed.version,
            "body": changed.body,
            "private": changed.private,
            "status": changed.status,
        }
        done = self._connection.execute(UPDATE, {"at": document.seq, "read": document.version, **written})
        return changed if done.rowcount == 1 else None

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
        return self._connection.execute(documents.delete().where(documents.c.seq == document.seq)).rowcount == 1

    def delete_children(self, parent: str) -> int:
        return self._connection.execute(documents.delete().where(documents.c.parent == parent)).rowcount

    def page(
        self,
        kind: str,
        *,
        project: str | None = None,
        parent: str | None = None,
        limit: int = 20,
        order: Order = "desc",
        after: str | None = None,
        before: str | None = None,
        metadata: Mapping[str, str] | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> Page:
        """One page, keyset. ``after``/``before`` are ids in the page's own order, as in OpenAI's lists.

        ``metadata`` and ``fields`` filter on equal values in the body. Raises ``InvalidRequest`` when a cursor
        is not an object of this list.
        """
        rows, has_more = self._page(documents.c, kind, project, parent, limit, order, after, before, metadata, fields)
        return Page([Document(*row) for row in rows], has_more)

    def page_texts(
        self,
        kind: str,
        *,
        project: str | None = None,
        parent: str | None = None,
        limit: int = 20,
        order: Order = "desc",
        after: str | None = None,
        before: str | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> tuple[list[tuple[str, str]], bool]:
        """As ``page``, but (id, JSON text of the body) and whether there is more: a list costs no parsing."""
        columns = (documents.c.id, sa.cast(documents.c.body, sa.Text))
        rows, has_more = self._page(columns, kind, project, parent, limit, order, after, before, None, fields)
        return [(id, text) for id, text in rows], has_more

    def _page(
        self,
        columns: Iterable[sa.ColumnElement[Any]],
        kind: str,
        project: str | None,
        parent: str | None,
        limit: int,
        order: Order,
        after: str | None,
        before: str | None,
        metadata: Mapping[str, str] | None,
        fields: Mapping[str, Any] | None,
    ) -> tuple[list[tuple[Any, ...]], bool]:
        query = sa.select(*columns).where(documents.c.kind == kind)
        if project is not None:
            query = query.where(documents.c.project == project)
        if parent is not None:
            query = query.where(documents.c.parent == parent)
        for key, value in (metadata or {}).items():
            query = query.where(documents.c.body["metadata"][key].as_string() == value)
        for key, value in (fields or {}).items():
            query = query.where(documents.c.body[key].as_string() == value)
        place = sa.tuple_(documents.c.created_at, documents.c.seq)
        forward = order == "asc"
        for cursor, name, later in ((after, "after", forward), (before, "before", not forward)):
            if cursor is None:
                continue
            at = self.find(kind, cursor, project=project, parent=parent)
            if at is None:
                raise InvalidRequest(f"No {kind} found with id '{cursor}' in this list.", param=name)
            here = sa.tuple_(sa.literal(at.created_at), sa.literal(at.seq))
            query = query.where(place > here if later else place < here)
        # `before` alone means the page that ends just before it: read backwards, then turn round
        backwards = before is not None and after is None
        ascending = forward != backwards
        by = (documents.c.created_at, documents.c.seq)
        query = query.order_by(*(c.asc() if ascending else c.desc() for c in by)).limit(limit + 1)
        rows: list[tuple[Any, ...]] = [tuple(row) for row in self._connection.execute(query)]
        items = rows[:limit]
        return items[::-1] if backwards else items, len(rows) > limit

    def with_status(self, kind: str, statuses: Iterable[str]) -> list[Document]:
        """All documents of a kind in one of the states, oldest first, every project."""
        query = sa.select(documents).where(documents.c.kind == kind, documents.c.status.in_(list(statuses)))
        return [Document(*r) for r in self._connection.execute(query.order_by(documents.c.seq))]

    def count(self, kind: str, *, parent: str | None = None, project: str | None = None) -> int:
        query = sa.select(sa.func.count()).select_from(documents).where(documents.c.kind == kind)
        if parent is not None:
            query = query.where(documents.c.parent == parent)
        if project is not None:
            query = query.where(documents.c.project == project)
        return self._connection.scalar(query) or 0
