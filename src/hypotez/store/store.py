"""Open the database, begin transactions, tell listeners what was appended. Knows no HTTP and no kinds."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from hypotez.errors import StorageError
from hypotez.store.blobs import Blobs
from hypotez.store.hub import Hub
from hypotez.store.prepared import Connection
from hypotez.store.schema import migrate
from hypotez.store.together import Together
from hypotez.store.transaction import Transaction

BUSY_SECONDS = 30  # how long a writer waits for another process before SQLite gives up

T = TypeVar("T")


class Store:
    """Thread-safe; share one per process. Several processes may open the same database.

    Threads write inside ``with write()`` and read inside ``with read()``; tasks of an event loop await ``commit`` and
    ``look``, which do the same without keeping the loop.
    """

    def __init__(self, engine: sa.Engine, blobs: Blobs) -> None:
        self._engine = engine
        self._sqlite = engine.dialect.name == "sqlite"
        self._failures = (engine.dialect.loaded_dbapi.OperationalError, sa.exc.OperationalError)
        self._writing = threading.Lock()  # waiting here is fair and free; SQLite's own waiting is a sleep loop
        self._together = Together(self.write)
        self.blobs = blobs
        self.hub = Hub(self._streams_after)

    @classmethod
    def open(cls, url: str, folder: Path) -> Self:
        """``url`` is SQLAlchemy's; ``folder`` holds the blobs. Raises ``StorageError``."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            engine = _engine(url)
            with engine.begin() as connection:
                migrate(connection)
        except (SQLAlchemyError, OSError, ImportError) as exc:  # the last for a driver that is not installed
            raise _unusable(url, folder, exc) from exc
        return cls(engine, Blobs(folder / "files"))

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """Commit at the end, roll back on an exception. Raises ``StorageError`` when the disk or database fails."""
        with self._writing:
            try:
                with self._borrowed("BEGIN IMMEDIATE") as (tx, commit):
                    yield tx
                    commit()
            except self._failures as exc:
                reason = getattr(exc, "orig", exc)
                raise StorageError(f"The database could not be written: {reason}. Is the disk full?") from exc
        self.hub.tell(tx.events.appended)

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """A consistent snapshot; nothing in it may write. Raises ``StorageError``: SQLite's reader needs room, too."""
        try:
            with self._borrowed("BEGIN") as (tx, _):
                yield tx
        except self._failures as exc:
            reason = getattr(exc, "orig", exc)
            raise StorageError(f"The database could not be read: {reason}. Is the disk full?") from exc

    async def commit(self, work: Callable[[Transaction], T]) -> T:
        """The result of ``work``, a small transaction, once it is committed. Shares the commit with other tasks'."""
        return await self._together.commit(work)

    async def look(self, reading: Callable[[Transaction], T]) -> T:
        """The result of a small read: on the loop where it waits for nobody, for a thread costs as much as it does."""
        return self._seen(reading) if self._sqlite else await asyncio.to_thread(self._seen, reading)

    def _seen(self, reading: Callable[[Transaction], T]) -> T:
        with self.read() as tx:
            return reading(tx)

    @contextmanager
    def _borrowed(self, begin: str) -> Iterator[tuple[Transaction, Callable[[], None]]]:
        """A connection of the pool's with a transaction begun; what is not committed is rolled back."""
        borrowed = self._engine.raw_connection()
        try:
            connection = Connection(borrowed, self._engine.dialect)
            if self._sqlite:  # elsewhere the driver begins by itself
                connection.plain(begin)
            yield Transaction(connection), borrowed.commit
        finally:
            borrowed.close()

    def _streams_after(self, seq: int | None) -> tuple[int, set[str]]:
        with self.read() as tx:
            return tx.events.streams_after(seq)

    def close(self) -> None:
        """Write what tasks still ask for, stop listening and close every connection. Safe to call twice."""
        self._together.close()
        self.hub.close()
        self._engine.dispose()


def _unusable(url: str, folder: Path, error: Exception) -> StorageError:
    """Why the database cannot be opened; the URL's password stays out of it."""
    try:
        shown = sa.engine.make_url(url).render_as_string(hide_password=True)
    except SQLAlchemyError:
        shown = url if "@" not in url else url.partition(":")[0]
    reason = getattr(error, "orig", None) or str(error).splitlines()[0]
    return StorageError(
        f"Cannot open the database '{shown}' in {folder}: {reason}.",
        hint="Is there room on the disk? HYPOTEZ_HOME is a folder that you may write to; HYPOTEZ_DATABASE, if it is "
        "set, a URL such as sqlite:////home/me/hypotez.db.",
    )


def _engine(url: str) -> sa.Engine:
    if not url.startswith("sqlite"):
        return sa.create_engine(url, pool_pre_ping=True)
    engine = sa.create_engine(url, pool_size=16, max_overflow=64, connect_args={"timeout": BUSY_SECONDS})
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, record: Any) -> None:
    # The driver's own BEGIN is deferred: two writers that both read first would deadlock on the upgrade.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "cache_size=-16000", "temp_store=MEMORY"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")  # of a migration: two processes may open a new database at once
