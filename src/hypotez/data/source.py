"""From what the user gave (a path, CSV text, a folder) to the list of sources to read."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import TextIO

from hypotez.data import encoding
from hypotez.data.records import SUFFIXES, Source
from hypotez.errors import DataError

PathLike = str | os.PathLike[str]


def find(
    data: PathLike | None = None,
    data_dir: PathLike | None = None,
    data_file: PathLike | None = None,
    *,
    encoding: str | None = None,
) -> list[Source]:
    """The sources behind ``train``'s three arguments; more than one of them adds up.

    ``data`` is CSV text when it has a line break or names no file but looks like a table's header; else a path to a
    file or a folder. Raises ``DataError`` for what is missing, empty or of no kind that can be read.
    """
    sources: list[Source] = []
    if data is not None:
        sources += _path_or_text(data, encoding)
    if data_dir is not None:
        sources += _folder(Path(data_dir), encoding)
    if data_file is not None:
        sources.append(_file(Path(data_file), encoding))
    if not sources:
        raise DataError("No training data was given.", hint="Pass data=, data_dir= or data_file=.")
    return sources


@contextmanager
def open_text(source: Source) -> Iterator[TextIO]:
    """The source as text, line ends untouched (``csv`` needs them so)."""
    if source.path is None:
        yield StringIO(source.text or "", newline="")
        return
    try:
        chosen = source.encoding or encoding.detect(source.path)
        with source.path.open(encoding=chosen, newline="") as file:
            yield file
    except UnicodeDecodeError as exc:
        raise DataError(f"{source.name} is not {exc.encoding}: {exc.reason} at byte {exc.start}.") from exc
    except LookupError as exc:
        raise DataError(f"There is no encoding '{source.encoding}'.", param="encoding") from exc
    except OSError as exc:
        raise DataError(f"{source.name} cannot be read: {exc.strerror}.") from exc


def _path_or_text(data: PathLike, encoding: str | None) -> list[Source]:
    if isinstance(data, str) and ("\n" in data or "\r" in data):
        return [Source("data", None, data.removeprefix("\ufeff"))]
    if isinstance(data, str) and not data.strip():
        raise DataError("The training data is empty text.", hint="Give a path or CSV text with a header line.")
    path = Path(data)
    if path.is_dir():
        return _folder(path, encoding)
    return [_file(path, encoding)]


def _folder(folder: Path, encoding: str | None) -> list[Source]:
    if not folder.exists():
        raise DataError(f"There is no folder {folder}.", param="data_dir")
    if not folder.is_dir():
        raise DataError(f"{folder} is a file, not a folder.", param="data_dir", hint="Pass it as data_file=.")
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith((".", "~$")))
    if not files:
        raise DataError(f"{folder} holds no training data; looked for {', '.join(SUFFIXES)}.", param="data_dir")
    return [_file(path, encoding) for path in files]


def _file(path: Path, encoding: str | None) -> Source:
    if not path.exists():
        raise DataError(f"There is no file {path}.", param="data_file", hint=_nearest(path))
    if path.is_dir():
        raise DataError(f"{path} is a folder, not a file.", param="data_file", hint="Pass it as data_dir=.")
    if path.suffix.lower() not in (*SUFFIXES, ".txt"):
        raise DataError(f"{path}: '{path.suffix}' files cannot be read; can: {', '.join(SUFFIXES)}.", param="data_file")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty.", param="data_file")
    return Source(str(path), path, encoding=encoding)


def _nearest(path: Path) -> str:
    from difflib import get_close_matches

    there = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    close = get_close_matches(path.name, there, n=1)
    return f"Did you mean {path.parent / close[0]}?" if close else f"Looked in {path.parent.absolute()}."
