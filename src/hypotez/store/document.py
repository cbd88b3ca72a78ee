"""One row of the documents: the JSON texts as they are stored, parsed when somebody looks into them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import sqlalchemy as sa

from hypotez.store.schema import documents, dump

Json = dict[str, Any]

# PostgreSQL's driver would parse a JSON column; text is what everybody here wants
COLUMNS = [sa.cast(c, sa.Text) if c.name in ("body", "private") else c for c in documents.c]


@dataclass(frozen=True)
class Document:
    seq: int
    id: str
    kind: str
    project: str
    parent: str
    created_at: int
    status: str | None
    version: int
    text: str  # JSON of ``body``: an answer that needs no look into it is this very text
    private_text: str = "{}"
    request: str | None = None

    @cached_property
    def body(self) -> Json:
        body: Json = json.loads(self.text)
        return body

    @cached_property
    def private(self) -> Json:
        private: Json = json.loads(self.private_text)
        return private

    def merged(self, body: Mapping[str, Any] | None = None, private: Mapping[str, Any] | None = None) -> Self:
        """The next version, with the given fields set."""
        whole = {**self.body, **(body or {})}
        return replace(
            self,
            text=dump(whole),
            private_text=dump({**self.private, **private}) if private else self.private_text,
            status=whole.get("status"),
            version=self.version + 1,
        )
