"""One transaction's view of the store, and parts of it that can fail alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from hypotez.store.documents import Documents
from hypotez.store.events import Events
from hypotez.store.prepared import Connection
from hypotez.store.work import Work


class Transaction:
    def __init__(self, connection: Connection) -> None:
        self.documents = Documents(connection)
        self.events = Events(connection)
        self.work = Work(connection)
        self._connection = connection

    @contextmanager
    def part(self) -> Iterator[Self]:
        """A transaction inside this one: an exception undoes it and leaves the rest as it is."""
        part = type(self)(self._connection)
        self._connection.plain("SAVEPOINT part")
        try:
            yield part
        except BaseException:
            self._connection.plain("ROLLBACK TO SAVEPOINT part")
            raise
        finally:
            self._connection.plain("RELEASE SAVEPOINT part")
        self.events.appended |= part.events.appended
