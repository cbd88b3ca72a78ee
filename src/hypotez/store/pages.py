"""The SQL of a page: one keyset query for every list, written once per shape. Values are bound, never written in."""

from functools import lru_cache
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from hypotez.store.document import COLUMNS
from hypotez.store.prepared import Prepared
from hypotez.store.schema import documents

Order = Literal["asc", "desc"]
Side = Literal["later", "earlier"]

TEXTS = [documents.c.id, sa.cast(documents.c.body, sa.Text)]


class _Says(sa.ColumnElement[bool]):
    """Whether a body's metadata has a value under a name. Both are bound: a client's name is no part of a path.

    In SQLite a path finds only names that JSON writes as they are: none in Russian, none with a quotation mark.
    """

    inherit_cache = False
    type = sa.Boolean()

    def __init__(self, number: int) -> None:
        self.name = sa.bindparam(f"name_{number}", type_=sa.Text)
        self.value = sa.bindparam(f"metadata_{number}", type_=sa.Text)


@compiles(_Says)
def _says(says: _Says, compiler: SQLCompiler, **options: Any) -> str:
    body, name, value = (compiler.process(part, **options) for part in (documents.c.body, says.name, says.value))
    return f"({body} -> 'metadata' ->> CAST({name} AS TEXT)) = {value}"


@compiles(_Says, "sqlite")
def _says_in_sqlite(says: _Says, compiler: SQLCompiler, **options: Any) -> str:
    body, name, value = (compiler.process(part, **options) for part in (documents.c.body, says.name, says.value))
    pairs = f"json_each({body}, '$.metadata') AS pair"
    return f"EXISTS (SELECT 1 FROM {pairs} WHERE pair.key = {name} AND pair.atom = {value})"


@lru_cache(maxsize=256)
def page_statement(
    *,
    whole: bool,
    project: bool,
    parent: bool,
    after: Side | None,
    before: Side | None,
    ascending: bool,
    metadata: int,
    fields: tuple[str, ...],
) -> Prepared:
    """Binds ``kind``, ``project``, ``parent``, ``limit``; ``after_at``/``after_seq`` and ``before_at``/``before_seq``,
    the cursors' places; ``name_0`` and ``metadata_0``, and so on for as many pairs as the metadata must have;
    ``field_0`` and so on, the values that the named fields must have.

    ``after`` and ``before`` say on which side of the cursor's place the page lies. ``whole`` rows, or id and text.
    """
    c = documents.c
    query = sa.select(*(COLUMNS if whole else TEXTS)).where(c.kind == sa.bindparam("kind"))
    if project:
        query = query.where(c.project == sa.bindparam("project"))
    if parent:
        query = query.where(c.parent == sa.bindparam("parent"))
    body = sa.type_coerce(c.body, sa.JSON)
    for number in range(metadata):
        query = query.where(_Says(number))
    for number, name in enumerate(fields):
        query = query.where(body[name].as_string() == sa.bindparam(f"field_{number}"))
    place = sa.tuple_(c.created_at, c.seq)
    for cursor, side in (("after", after), ("before", before)):
        if side is not None:
            here = sa.tuple_(sa.bindparam(f"{cursor}_at"), sa.bindparam(f"{cursor}_seq"))
            query = query.where(place > here if side == "later" else place < here)
    by = [column.asc() if ascending else column.desc() for column in (c.created_at, c.seq)]
    return Prepared(query.order_by(*by).limit(sa.bindparam("limit")))
