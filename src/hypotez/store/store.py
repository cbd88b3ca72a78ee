"""Open the database, begin transactions, tell listeners what was appended. Knows no HTTP and no kinds."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from hypotez.errors import StorageError
from hypotez.store.blobs import Blobs
from hypotez.store.documents import Documents
from hypotez.store.events import Events
from hypotez.store.hub import Hub
from hypotez.store.schema import dump, migrate
from hypotez.store.work import Work

BUSY_SECONDS = 30  # how long a writer waits for another process before SQLite gives up


class Transaction:
    """One transaction's view of the store."""

    def __init__(self, connection: sa.Connection) -> None:
        self.documents = Documents(connection)
        self.events = Events(connection)
        self.work = Work(connection)
        self.connection = connection


class Store:
    """Thread-safe; share one per process. Several processes may open the same database."""

    def __init__(self, engine: sa.Engine, blobs: Blobs) -> None:
        self._engine = engine
        self._writing = threading.Lock()  # waiting here is fair and free; SQLite's own waiting is a sleep loop
        self.blobs = blobs
        self.hub = Hub(self._streams_after)

    @classmethod
    def open(cls, url: str, folder: Path) -> Self:
        """``url`` is SQLAlchemy's; ``folder`` holds the blobs. Raises ``StorageError``."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            engine = _engine(url)
            store = cls(engine, Blobs(folder / "files"))
            with store.write() as tx:
                migrate(tx.connection)
        except (SQLAlchemyError, OSError) as exc:
            raise StorageError(f"Cannot open the database {url!r} in {folder}: {exc}.") from exc
        return store

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """Commit at the end, roll back on an exception. Raises ``StorageError`` when the disk or database fails."""
        with self._writing:
            try:
                with self._engine.begin() as connection:
                    tx = Transaction(connection)
                    yield tx
            except OperationalError as exc:
                raise StorageError(f"The database could not be written: {exc.orig}. Is the disk full?") from exc
        self.hub.tell(tx.events.appended)

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """A consistent snapshot; nothing in it may write. Raises ``StorageError``: SQLite's reader needs room, too."""
        try:
            with self._engine.connect().execution_options(hypotez_read=True) as connection:
                yield Transaction(connection)
        except OperationalError as exc:
            raise StorageError(f"The database could not be read: {exc.orig}. Is the disk full?") from exc

    @property
    def reads_at_once(self) -> bool:
        """Whether a small read waits for nobody: in SQLite's WAL it does not, so it needs no thread of its own."""
        return self._engine.dialect.name == "sqlite"

    def _streams_after(self, seq: int | None) -> tuple[int, set[str]]:
        with self.read() as tx:
            return tx.events.streams_after(seq)

    def close(self) -> None:
        """Stop listening and close every connection. Safe to call twice."""
        self.hub.close()
        self._engine.dispose()


def _engine(url: str) -> sa.Engine:
    if not url.startswith("sqlite"):
        return sa.create_engine(url, json_serializer=dump, pool_pre_ping=True)
    engine = sa.create_engine(
        url, json_serializer=dump, pool_size=16, max_overflow=64, connect_args={"timeout": BUSY_SECONDS}
    )
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, record: Any) -> None:
    # The driver's own BEGIN is deferred: two writers that both read first would deadlock on the upgrade.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "cache_size=-16000", "temp_store=MEMORY"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: sa.Connection) -> None:
    reading = connection.get_execution_options().get("hypotez_read")
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
