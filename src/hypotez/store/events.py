"""Append-only rows per stream (a run's id, a job's id): an SSE stream is "replay after N, then follow"."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from hypotez.store.prepared import Connection, Prepared, inserted
from hypotez.store.schema import dump, events

COLUMNS = [sa.cast(c, sa.Text) if c.name == "data" else c for c in events.c]
SINCE = sa.select(*COLUMNS).where(events.c.seq > sa.bindparam("seq")).order_by(events.c.seq)
SINCE = SINCE.limit(sa.bindparam("limit"))

INSERT = Prepared(inserted(events))
ALL_SINCE = Prepared(SINCE)
AFTER = Prepared(SINCE.where(events.c.stream == sa.bindparam("stream")))
NEWEST = sa.select(sa.func.max(events.c.seq))
LAST = Prepared(NEWEST)
LAST_OF = Prepared(NEWEST.where(events.c.stream == sa.bindparam("stream")))
STREAMS = Prepared(sa.select(events.c.seq, events.c.stream).where(events.c.seq > sa.bindparam("seq")))
DELETE = Prepared(events.delete().where(events.c.stream == sa.bindparam("stream")))


@dataclass(frozen=True)
class Event:
    seq: int  # grows with every append of the whole store
    stream: str
    type: str
    text: str  # JSON of ``data``
    at: float  # unix seconds

    @cached_property
    def data(self) -> Any:
        return json.loads(self.text)


class Events:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.appended: set[str] = set()  # streams to tell about after the commit

    def append(self, stream: str, type: str, data: Any) -> None:
        self.extend(stream, [(type, data)])

    def extend(self, stream: str, pairs: Sequence[tuple[str, Any]]) -> None:
        """Append (type, data) pairs in order, as one statement."""
        self.extend_many({stream: pairs})

    def extend_many(self, batch: Mapping[str, Sequence[tuple[str, Any]]]) -> None:
        """Append to several streams, as one statement."""
        now = time.time()
        rows = [
            {"stream": stream, "type": type_, "data": dump(data), "at": now}
            for stream, pairs in batch.items()
            for type_, data in pairs
        ]
        if rows:
            self._connection.run_many(INSERT, rows)
            self.appended |= {str(row["stream"]) for row in rows}

    def after(self, stream: str, seq: int = 0, *, limit: int = 1000) -> list[Event]:
        """Events of the stream with a greater ``seq``, oldest first."""
        return [Event(*row) for row in self._connection.rows(AFTER, stream=stream, seq=seq, limit=limit)]

    def since(self, seq: int, *, limit: int = 1000) -> list[Event]:
        """Events of every stream with a greater ``seq``, oldest first."""
        return [Event(*row) for row in self._connection.rows(ALL_SINCE, seq=seq, limit=limit)]

    def last(self, stream: str | None = None) -> int:
        """The greatest ``seq`` of the stream, or of all; 0 when there is none."""
        if stream is None:
            return self._connection.value(LAST) or 0
        return self._connection.value(LAST_OF, stream=stream) or 0

    def streams_after(self, seq: int | None) -> tuple[int, set[str]]:
        """The greatest ``seq`` now, and the streams appended to since ``seq`` (none when it is None)."""
        if seq is None:
            return self.last(), set()
        rows = self._connection.rows(STREAMS, seq=seq)
        return max((seq for seq, _ in rows), default=seq), {stream for _, stream in rows}

    def delete(self, stream: str) -> int:
        return self._connection.run(DELETE, stream=stream)
