"""SQL that SQLAlchemy writes once, for any database, and the driver itself executes.

SQLAlchemy's own execution of a statement takes several times as long as SQLite's answer to it, so ``Connection`` is
all that is between a transaction and its driver. JSON columns hold text here: who reads it decides whether to parse.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor

Row = tuple[Any, ...]
Values = Mapping[str, Any]
Bound = Callable[[Values], Any]


class Prepared:
    """A statement with named parameters. Make it once: compiling costs more than executing."""

    def __init__(self, statement: sa.Executable) -> None:
        self._statement = statement
        self._forms: dict[str, tuple[str, Bound]] = {}

    def form(self, dialect: sa.Dialect) -> tuple[str, Bound]:
        """The statement's text for a database, and what turns values by name into the driver's parameters."""
        form = self._forms.get(dialect.name)
        if form is None:
            form = self._forms[dialect.name] = self._compiled(dialect)
        return form

    def _compiled(self, dialect: sa.Dialect) -> tuple[str, Bound]:
        compiled: Any = self._statement.compile(dialect=dialect)  # type: ignore[attr-defined]
        fixed = {name: _fixed(bind, dialect) for name, bind in compiled.binds.items() if not bind.required}
        bound: Bound = lambda values: {**fixed, **values} if fixed else values  # noqa: E731
        return str(compiled), _in_order(compiled.positiontup, bound) if compiled.positional else bound


def _fixed(bind: sa.BindParameter[Any], dialect: sa.Dialect) -> Any:
    """The value that stands in the statement itself, as the driver takes it."""
    convert = bind.type.dialect_impl(dialect).bind_processor(dialect)
    return bind.effective_value if convert is None else convert(bind.effective_value)


def _in_order(names: Sequence[str], bound: Bound) -> Bound:
    match len(names):
        case 0:
            return lambda values: ()
        case 1:
            return lambda values: (bound(values)[names[0]],)
        case _:
            pick = itemgetter(*names)
            return lambda values: pick(bound(values))


def inserted(table: sa.Table) -> sa.Insert:
    """INSERT of every column by its name; the database numbers the rows itself."""
    return table.insert().values({c.name: sa.bindparam(c.name) for c in table.columns if c.name != "seq"})


class Connection:
    """Executes prepared statements on one of the driver's connections."""

    def __init__(self, driver: DBAPIConnection, dialect: sa.Dialect) -> None:
        self._driver, self._dialect = driver, dialect

    def rows(self, prepared: Prepared, **values: Any) -> list[Row]:
        """All rows of a SELECT, or of what a statement returns."""
        rows: list[Row] = list(self._execute(prepared, values).fetchall())
        return rows

    def row(self, prepared: Prepared, **values: Any) -> Row | None:
        """The first row, or None."""
        rows = self.rows(prepared, **values)
        return rows[0] if rows else None

    def value(self, prepared: Prepared, **values: Any) -> Any:
        """The first value of the first row; None when there is no row."""
        row = self.row(prepared, **values)
        return None if row is None else row[0]

    def run(self, prepared: Prepared, **values: Any) -> int:
        """Execute a statement that returns nothing; how many rows it changed."""
        return int(self._execute(prepared, values).rowcount)

    def run_many(self, prepared: Prepared, rows: Iterable[Values]) -> None:
        text, bound = prepared.form(self._dialect)
        self._driver.cursor().executemany(text, [bound(values) for values in rows])

    def plain(self, text: str) -> None:
        """Execute a statement without parameters: BEGIN, SAVEPOINT."""
        self._driver.cursor().execute(text)

    def _execute(self, prepared: Prepared, values: Values) -> DBAPICursor:
        text, bound = prepared.form(self._dialect)
        cursor = self._driver.cursor()
        cursor.execute(text, bound(values))
        return cursor
