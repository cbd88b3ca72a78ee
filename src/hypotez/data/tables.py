"""Rows of tables: CSV and TSV by the standard library (it knows line numbers), Parquet and XLSX by polars."""

import csv
import io
from collections.abc import Iterator, Sequence
from itertools import islice, zip_longest
from typing import Any, TextIO

from hypotez.data import columns
from hypotez.data.records import Complain, Record, Source
from hypotez.data.source import open_text
from hypotez.errors import DataError, Fault, MissingExtra

_DELIMITERS = ",;\t|"
_SAMPLE_LINES = 50
_ROWS_AT_ONCE = 4096


def read_csv(source: Source, complain: Complain) -> Iterator[Record]:
    """Rows of a CSV or TSV file; the delimiter is recognised, a leading ``sep=;`` line is obeyed."""
    with open_text(source) as file:
        sample = "".join(islice(file, _SAMPLE_LINES))
        if not sample.strip():
            raise DataError(f"{source.name} is empty.", faults=[Fault(source.name, 0, None, "empty")])
        delimiter = _declared(sample) or ("\t" if source.suffix == ".tsv" else sniff(sample))
        file.seek(0)
        yield from _rows(file, delimiter, source.name, complain)


def sniff(sample: str) -> str:
    """The delimiter under which the header has known names; else the one that cuts most lines into equal parts."""
    return max(_DELIMITERS, key=lambda delimiter: _score(sample, delimiter))


def _score(sample: str, delimiter: str) -> tuple[int, int]:
    try:
        rows = list(csv.reader(io.StringIO(sample), delimiter=delimiter))
    except csv.Error:
        return 0, 0
    width = len(rows[0]) if rows else 0
    return sum(map(columns.knows, rows[0])), sum(len(row) == width for row in rows) * (width > 1)


def _declared(sample: str) -> str | None:
    first = sample.splitlines()[0].strip()
    return first[4] if len(first) == 5 and first.lower().startswith("sep=") else None


def _rows(file: TextIO, delimiter: str, name: str, complain: Complain) -> Iterator[Record]:
    csv.field_size_limit(1 << 30)  # the default refuses answers over 128 KB
    reader = csv.reader(file, delimiter=delimiter, strict=True)
    header: list[str] | None = None
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as exc:
            complain(Fault(name, line, None, _in_words(exc)))
            continue
        if row is None:
            break
        if not any(cell.strip() for cell in row) or (line == 1 and len(row) <= 2 and row[0].lower().startswith("sep=")):
            continue
        if header is None:
            header = _header(row, name, line)
        elif len(row) > len(header):
            complain(Fault(name, line, None, f"{len(row)} fields where the header has {len(header)}; {_QUOTE}"))
        else:
            yield Record(name, line, dict(zip_longest(header, row)))
    if header is None:
        raise DataError(f"{name} is empty.", faults=[Fault(name, 0, None, "empty")])


_QUOTE = "put texts that hold the delimiter in double quotes"


def _header(row: Sequence[str], name: str, line: int) -> list[str]:
    names = [cell.strip().removeprefix("\ufeff") for cell in row]
    twice = sorted({n for n in names if n and names.count(n) > 1})
    if twice:
        what = f"column {', '.join(twice)} appears twice"
        raise DataError(f"{name}:{line}: {what}.", faults=[Fault(name, line, None, what)])
    return names


def _in_words(exc: csv.Error) -> str:
    text = str(exc)
    if "unexpected end of data" in text:
        return "a double quote is opened here and never closed"
    if "expected after" in text:
        return 'text follows a closing double quote; inside quotes write "" for a quote'
    return text


def read_parquet(source: Source, complain: Complain) -> Iterator[Record]:
    """Rows of a Parquet file, a few thousand in memory at a time; ``line`` is the row's number from 1."""
    try:
        import polars
    except ImportError as exc:
        raise MissingExtra("local", "Reading Parquet files") from exc
    path = _path(source)
    try:
        frame, start = polars.scan_parquet(path), 0
        while rows := frame.slice(start, _ROWS_AT_ONCE).collect().to_dicts():
            yield from (Record(source.name, start + i, row) for i, row in enumerate(rows, start=1))
            start += len(rows)
    except (polars.exceptions.PolarsError, OSError) as exc:
        raise DataError(f"{source.name} is not a Parquet file: {_first_line(exc)}.") from exc


def read_xlsx(source: Source, complain: Complain) -> Iterator[Record]:
    """Rows of an Excel file's first sheet; ``line`` is the row's number in the sheet."""
    try:
        import fastexcel
        import polars
    except ImportError as exc:
        raise MissingExtra("local", "Reading Excel files") from exc
    try:
        frame = polars.read_excel(_path(source), infer_schema_length=0, drop_empty_rows=False, raise_if_empty=False)
    except (polars.exceptions.PolarsError, fastexcel.FastExcelError, OSError) as exc:
        raise DataError(f"{source.name} is not an Excel workbook: {_first_line(exc)}.") from exc
    for line, row in enumerate(frame.iter_rows(named=True), start=2):
        if any(cell is not None and str(cell).strip() for cell in row.values()):
            yield Record(source.name, line, row)


def _path(source: Source) -> Any:
    assert source.path is not None  # text given in place of a file is always CSV
    return source.path


def _first_line(exc: Exception) -> str:
    return (str(exc).strip() or type(exc).__name__).splitlines()[0].rstrip(".")
