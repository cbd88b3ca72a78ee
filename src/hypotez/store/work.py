"""The database is the work queue: put, claim, heartbeat, finish.

A row lives as long as the work does: it is deleted in the transaction that records the result. A claim whose
heartbeat stopped is free for anybody, so work survives the death of any process.
"""

import time
from dataclasses import dataclass, replace

import sqlalchemy as sa

from hypotez.store.prepared import Connection, Prepared, inserted
from hypotez.store.schema import work

KIND = work.c.kind == sa.bindparam("kind")
TARGET = work.c.target == sa.bindparam("target")
MINE = sa.and_(work.c.seq == sa.bindparam("at"), work.c.owner.is_not_distinct_from(sa.bindparam("mine")))

INSERT = Prepared(inserted(work))
TAKEN = Prepared(sa.select(work.c.seq).where(KIND, TARGET))
NEXT = Prepared(
    sa.select(work)
    .where(
        KIND,
        work.c.due <= sa.bindparam("now"),
        # heartbeats from the future (the clock was set back) count as silent, or work would wait for hours
        sa.or_(
            work.c.owner.is_(None),
            work.c.heartbeat < sa.bindparam("silent_before"),
            work.c.heartbeat > sa.bindparam("silent_after"),
        ),
    )
    .order_by(work.c.due, work.c.seq)
    .limit(1)
)
TAKE = Prepared(
    work.update()
    .where(
        work.c.seq == sa.bindparam("at"),
        work.c.owner.is_not_distinct_from(sa.bindparam("before")),
        work.c.attempts == sa.bindparam("tried"),
    )
    .values({name: sa.bindparam(name) for name in ("owner", "heartbeat", "attempts")})
)
BEAT = Prepared(work.update().where(MINE).values(heartbeat=sa.bindparam("heartbeat")))
FINISH = Prepared(work.delete().where(MINE))
RELEASE = Prepared(work.update().where(MINE).values(owner=None, heartbeat=None, due=sa.bindparam("due")))
REMOVE = Prepared(work.delete().where(KIND, TARGET))
WAITING = Prepared(sa.select(work).where(KIND).order_by(work.c.due, work.c.seq))


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
    turn: int  # for whoever lets the items of several owners take turns


class Work:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, kind: str, target: str, *, project: str = "default", due: float = 0.0, turn: int = 0) -> None:
        """Queue ``target``; a second call while it waits or runs does nothing."""
        if self._connection.row(TAKEN, kind=kind, target=target) is None:
            fresh = {"owner": None, "heartbeat": None, "attempts": 0}
            self._connection.run(INSERT, kind=kind, target=target, project=project, due=due, turn=turn, **fresh)

    def claim(self, kind: str, owner: str, *, silence: float) -> WorkItem | None:
        """Take the oldest due item nobody owns, or whose owner has been silent for ``silence`` seconds.

        Call it inside ``store.write()``: SQLite admits one writer, and the UPDATE's condition decides elsewhere.
        """
        found = self._next(kind, silence)
        return None if found is None else self.take(found, owner)

    def free(self, kind: str, *, silence: float) -> bool:
        """Whether there is anything to claim; for this no transaction needs to write."""
        return self._next(kind, silence) is not None

    def take(self, item: WorkItem, owner: str) -> WorkItem | None:
        """Claim the item as it was read, whoever had it; None when somebody else was faster."""
        mine = replace(item, owner=owner, heartbeat=time.time(), attempts=item.attempts + 1)
        done = self._connection.run(
            TAKE,
            at=item.seq,
            before=item.owner,
            tried=item.attempts,
            owner=owner,
            heartbeat=mine.heartbeat,
            attempts=mine.attempts,
        )
        return mine if done == 1 else None

    def _next(self, kind: str, silence: float) -> WorkItem | None:
        now = time.time()
        row = self._connection.row(NEXT, kind=kind, now=now, silent_before=now - silence, silent_after=now + silence)
        return None if row is None else WorkItem(*row)

    def beat(self, item: WorkItem) -> bool:
        """Say that the owner lives. False when the claim was lost: stop at once."""
        return self._connection.run(BEAT, at=item.seq, mine=item.owner, heartbeat=time.time()) == 1

    def finish(self, item: WorkItem) -> bool:
        """Remove the item; False when the claim was lost (then roll back: raise)."""
        return self._connection.run(FINISH, at=item.seq, mine=item.owner) == 1

    def release(self, item: WorkItem, *, due: float = 0.0) -> bool:
        """Give the item back, to be claimed again from ``due`` (unix seconds)."""
        return self._connection.run(RELEASE, at=item.seq, mine=item.owner, due=due) == 1

    def remove(self, kind: str, target: str) -> bool:
        """Remove whatever its state (a deleted thread's run)."""
        return self._connection.run(REMOVE, kind=kind, target=target) == 1

    def waiting(self, kind: str) -> list[WorkItem]:
        """All items of the kind, owned or not, in the order they will be taken."""
        return [WorkItem(*row) for row in self._connection.rows(WAITING, kind=kind)]
