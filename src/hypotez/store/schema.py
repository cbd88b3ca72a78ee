"""Tables and the numbered migrations that make them. A migration is the next function in ``MIGRATIONS``."""

import json
import time
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

metadata = sa.MetaData()


class JsonText(sa.types.UserDefinedType[str]):
    """A column of JSON as text: the store's callers decide when it is parsed."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "JSON"


# BIGINT does not autoincrement in SQLite, INTEGER does
Big = sa.BigInteger().with_variant(sa.Integer, "sqlite")

documents = sa.Table(
    "documents",
    metadata,
    sa.Column("seq", Big, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(128), nullable=False, unique=True),
    sa.Column("kind", sa.String(64), nullable=False),
    sa.Column("project", sa.String(64), nullable=False),
    sa.Column("parent", sa.String(128), nullable=False),  # "" for a root: NULLs would not compare in an index
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("status", sa.String(32)),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("body", JsonText, nullable=False),
    sa.Column("private", JsonText, nullable=False),
    sa.Column("request", sa.String(64)),  # fingerprint of the request that created it, to answer a retry
    sa.Index("documents_by_request", "request", sqlite_where=sa.text("request IS NOT NULL")),
    sa.Index("documents_by_parent", "kind", "parent", "created_at", "seq"),
    sa.Index("documents_by_project", "kind", "project", "created_at", "seq"),
    sa.Index("documents_by_status", "kind", "status"),
    sqlite_autoincrement=True,
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("seq", Big, primary_key=True, autoincrement=True),
    sa.Column("stream", sa.String(128), nullable=False),
    sa.Column("type", sa.String(64), nullable=False),
    sa.Column("data", JsonText, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
    sa.Index("events_by_stream", "stream", "seq"),
    sqlite_autoincrement=True,
)

work = sa.Table(
    "work",
    metadata,
    sa.Column("seq", Big, primary_key=True, autoincrement=True),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("target", sa.String(128), nullable=False),
    sa.Column("project", sa.String(64), nullable=False),
    sa.Column("due", sa.Float, nullable=False),
    sa.Column("owner", sa.String(128)),
    sa.Column("heartbeat", sa.Float),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("turn", sa.Integer, nullable=False, server_default="0"),
    sa.UniqueConstraint("kind", "target"),
    sa.Index("work_by_due", "kind", "owner", "due"),
    sqlite_autoincrement=True,
)

migrations = sa.Table(
    "migrations", metadata, sa.Column("number", sa.Integer, primary_key=True), sa.Column("applied_at", sa.Float)
)


def first(connection: sa.Connection) -> None:
    for table in (documents, events, work):
        table.create(connection, checkfirst=True)


def second(connection: sa.Connection) -> None:
    """Work has a turn. ``first`` makes today's tables, so a fresh store has the column already."""
    if "turn" not in {column["name"] for column in sa.inspect(connection).get_columns("work")}:
        connection.execute(sa.text("ALTER TABLE work ADD COLUMN turn INTEGER NOT NULL DEFAULT 0"))


MIGRATIONS: list[Callable[[sa.Connection], None]] = [first, second]


def migrate(connection: sa.Connection) -> None:
    """Apply what is missing, each with its record, inside the caller's transaction."""
    migrations.create(connection, checkfirst=True)
    done = connection.scalar(sa.select(sa.func.max(migrations.c.number))) or 0
    for number, step in enumerate(MIGRATIONS[done:], start=done + 1):
        step(connection)
        connection.execute(migrations.insert().values(number=number, applied_at=time.time()))


def dump(value: Any) -> str:
    """Compact JSON text. ASCII, because lone surrogates that clients send have no UTF-8 form."""
    return json.dumps(value, separators=(",", ":"))
