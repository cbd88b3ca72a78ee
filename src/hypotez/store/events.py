"""Append-only rows per stream (a run's id, a job's id): an SSE stream is "replay after N, then follow"."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from hypotez.store.schema import events


@dataclass(frozen=True, slots=True)
class Event:
    seq: int  # grows with every append of the whole store
    stream: str
    type: str
    data: Any
    at: float  # unix seconds


class Events:
    def __init__(self, connection: sa.Connection) -> None:
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
            {"stream": stream, "type": type_, "data": data, "at": now}
            for stream, pairs in batch.items()
            for type_, data in pairs
        ]
        if rows:
            self._connection.execute(events.insert(), rows)
            self.appended |= {row["stream"] for row in rows}

    def after(self, stream: str, seq: int = 0, *, limit: int = 1000) -> list[Event]:
        """Events of the stream with a greater ``seq``, oldest first."""
        query = sa.select(events).where(events.c.stream == stream, events.c.seq > seq)
        rows = self._connection.execute(query.order_by(events.c.seq).limit(limit))
        return [Event(**row._mapping) for row in rows]

    def since(self, seq: int, *, limit: int = 1000) -> list[Event]:
        """Events of every stream with a greater ``seq``, oldest first."""
        query = sa.select(events).where(events.c.seq > seq).order_by(events.c.seq).limit(limit)
        return [Event(**row._mapping) for row in self._connection.execute(query)]

    def last(self, stream: str | None = None) -> int:
        """The greatest ``seq`` of the stream, or of all; 0 when there is none."""
        query = sa.select(sa.func.max(events.c.seq))
        return self._connection.scalar(query if stream is None else query.where(events.c.stream == stream)) or 0

    def streams_after(self, seq: int | None) -> tuple[int, set[str]]:
        """The greatest ``seq`` now, and the streams appended to since ``seq`` (none when it is None)."""
        if seq is None:
            return self._connection.scalar(sa.select(sa.func.max(events.c.seq))) or 0, set()
        rows = self._connection.execute(sa.select(events.c.seq, events.c.stream).where(events.c.seq > seq)).all()
        return max((row.seq for row in rows), default=seq), {row.stream for row in rows}

    def delete(self, stream: str) -> int:
        return self._connection.execute(events.delete().where(events.c.stream == stream)).rowcount
