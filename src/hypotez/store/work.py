"""The database is the work queue: put, claim, heartbeat, finish.

A row lives as long as the work does: it is deleted in the transaction that records the result. A claim whose
heartbeat stopped is free for anybody, so work survives the death of any process.
"""

import time
from dataclasses import dataclass, replace

import sqlalchemy as sa

from hypotez.store.schema import work


@dataclass(frozen=True, slots=True)
class WorkItem:
    seq: int
    kind: str
    target: str
    project: str
    due: float  # unix seconds
    owner: str | None
    heartbeat: float | None  # unix seconds
    attempts: int  # claims so far, this one included


class Work:
    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def put(self, kind: str, target: str, *, project: str = "default", due: float = 0.0) -> None:
        """Queue ``target``; a second call while it waits or runs does nothing."""
        row = {"kind": kind, "target": target, "project": project, "due": due, "attempts": 0}
        taken = sa.select(work.c.seq).where(work.c.kind == kind, work.c.target == target)
        if self._connection.scalar(taken) is None:
            self._connection.execute(work.insert().values(row))

    def claim(self, kind: str, owner: str, *, silence: float) -> WorkItem | None:
        """Take the oldest due item nobody owns, or whose owner has been silent for ``silence`` seconds.

        Call it inside ``store.write()``: SQLite admits one writer, and the UPDATE's condition decides elsewhere.
        """
        now = time.time()
        # heartbeats from the future (the clock was set back) count as silent, or work would wait for hours
        silent = sa.or_(work.c.heartbeat < now - silence, work.c.heartbeat > now + silence)
        free = sa.or_(work.c.owner.is_(None), silent)
        query = sa.select(work).where(work.c.kind == kind, work.c.due <= now, free)
        row = self._connection.execute(query.order_by(work.c.due, work.c.seq).limit(1)).first()
        return None if row is None else self.take(WorkItem(**row._mapping), owner)

    def take(self, item: WorkItem, owner: str) -> WorkItem | None:
        """Claim the item as it was read, whoever had it; None when somebody else was faster."""
        mine = replace(item, owner=owner, heartbeat=time.time(), attempts=item.attempts + 1)
        same = (work.c.seq == item.seq, work.c.owner == item.owner, work.c.attempts == item.attempts)
        values = {"owner": owner, "heartbeat": mine.heartbeat, "attempts": mine.attempts}
        done = self._connection.execute(work.update().where(*same).values(values))
        return mine if done.rowcount == 1 else None

    def beat(self, item: WorkItem) -> bool:
        """Say that the owner lives. False when the claim was lost: stop at once."""
        query = work.update().where(work.c.seq == item.seq, work.c.owner == item.owner)
        return self._connection.execute(query.values(heartbeat=time.time())).rowcount == 1

    def finish(self, item: WorkItem) -> bool:
        """Remove the item; False when the claim was lost (then roll back: raise)."""
        query = work.delete().where(work.c.seq == item.seq, work.c.owner == item.owner)
        return self._connection.execute(query).rowcount == 1

    def release(self, item: WorkItem, *, due: float = 0.0) -> bool:
        """Give the item back, to be claimed again from ``due`` (unix seconds)."""
        query = work.update().where(work.c.seq == item.seq, work.c.owner == item.owner)
        return self._connection.execute(query.values(owner=None, heartbeat=None, due=due)).rowcount == 1

    def remove(self, kind: str, target: str) -> bool:
        """Remove whatever its state (a deleted thread's run)."""
        query = work.delete().where(work.c.kind == kind, work.c.target == target)
        return self._connection.execute(query).rowcount == 1

    def waiting(self, kind: str) -> list[WorkItem]:
        """All items of the kind, owned or not, in the order they will be taken."""
        query = sa.select(work).where(work.c.kind == kind).order_by(work.c.due, work.c.seq)
        return [WorkItem(**row._mapping) for row in self._connection.execute(query)]
