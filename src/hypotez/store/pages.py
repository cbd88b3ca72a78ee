"""The SQL of a page: one keyset query for every list, written once per shape. Values are bound, never written in."""

from functools import lru_cache
from typing import Literal

import sqlalchemy as sa

from hypotez.store.document import COLUMNS
from hypotez.store.prepared import Prepared
from hypotez.store.schema import documents

Order = Literal["asc", "desc"]
Side = Literal["later", "earlier"]

TEXTS = [documents.c.id, sa.cast(documents.c.body, sa.Text)]


@lru_cache(maxsize=256)  # the shapes that clients make up (names of metadata) may not fill the memory
def page_statement(
    *,
    whole: bool,
    project: bool,
    parent: bool,
    after: Side | None,
    before: Side | None,
    ascending: bool,
    metadata: tuple[str, ...],
    fields: tuple[str, ...],
) -> Prepared:
    """Binds ``kind``, ``project``, ``parent``, ``limit``; ``after_at``/``after_seq`` and ``before_at``/``before_seq``,
    the cursors' places; ``metadata_0``, ``field_0`` and so on, the values that the named ones must have.

    ``after`` and ``before`` say on which side of the cursor's place the page lies. ``whole`` rows, or id and text.
    """
    c = documents.c
    query = sa.select(*(COLUMNS if whole else TEXTS)).where(c.kind == sa.bindparam("kind"))
    if project:
        query = query.where(c.project == sa.bindparam("project"))
    if parent:
        query = query.where(c.parent == sa.bindparam("parent"))
    body = sa.type_coerce(c.body, sa.JSON)
    for number, name in enumerate(metadata):
        query = query.where(body["metadata"][name].as_string() == sa.bindparam(f"metadata_{number}"))
    for number, name in enumerate(fields):
        query = query.where(body[name].as_string() == sa.bindparam(f"field_{number}"))
    place = sa.tuple_(c.created_at, c.seq)
    for cursor, side in (("after", after), ("before", before)):
        if side is not None:
            here = sa.tuple_(sa.bindparam(f"{cursor}_at"), sa.bindparam(f"{cursor}_seq"))
            query = query.where(place > here if side == "later" else place < here)
    by = [column.asc() if ascending else column.desc() for column in (c.created_at, c.seq)]
    return Prepared(query.order_by(*by).limit(sa.bindparam("limit")))
