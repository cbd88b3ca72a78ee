"""Write beside the place and rename into it, so that nobody ever finds half of an export."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypotez.errors import Conflict, StorageError


@contextmanager
def draft(to: Path) -> Iterator[Path]:
    """A free path to write a file or a folder at; it becomes ``to`` when the block ends well, and goes when not."""
    if to.exists():
        raise Conflict(f"{to} exists already. Choose another place, or remove it first.")
    path = to.with_name(f".{to.name}.draft")
    try:
        _remove(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        yield path
        path.rename(to)
    except OSError as exc:
        raise StorageError(f"Could not write {to}: {exc}") from exc
    finally:
        _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
