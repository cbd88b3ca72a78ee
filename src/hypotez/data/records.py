"""Rows of any file, one by one: a ``Record`` is a row's fields with the file and line it came from.

Formats are told by the file's name. Faults of the format itself (broken quotes, a line that is not JSON)
are handed to ``complain`` and reading goes on with the next row, so that one pass finds them all.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypotez.errors import Fault

Complain = Callable[[Fault], None]


@dataclass(frozen=True, slots=True)
class Record:
    """``fields`` by column name or key; ``line`` counts from 1 (for Parquet: the row)."""

    file: str
    line: int
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Source:
    """One file, or text given in place of one. ``name`` is what messages call it."""

    name: str
    path: Path | None
    text: str | None = None
    encoding: str | None = None

    @property
    def suffix(self) -> str:
        return self.path.suffix.lower() if self.path else ".csv"


def read(source: Source, complain: Complain) -> Iterator[Record]:
    """Every row of the source, in constant memory for CSV, TSV, JSON, JSONL and Parquet.

    Raises ``DataError`` for a file as a whole (missing, empty, unknown kind, wrong encoding).
    """
    from hypotez.data import documents, tables

    readers = {
        ".csv": tables.read_csv,
        ".tsv": tables.read_csv,
        ".txt": tables.read_csv,
        ".parquet": tables.read_parquet,
        ".xlsx": tables.read_xlsx,
        ".json": documents.read_json,
        ".jsonl": documents.read_jsonl,
        ".ndjson": documents.read_jsonl,
        ".md": documents.read_markdown,
        ".markdown": documents.read_markdown,
    }
    return readers[source.suffix](source, complain)


SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet", ".xlsx", ".md", ".markdown")
