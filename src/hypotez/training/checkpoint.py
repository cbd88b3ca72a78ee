"""The state of an unfinished training, on disk such that a kill at any instant leaves the last whole one.

A folder is written beside its place, flushed, and renamed into it; older ones go afterwards. Knows no model.
"""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from hypotez.errors import StorageError

Json = dict[str, Any]


def publish(place: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a folder, and give it to the world in one rename. Replaces what was there."""
    draft = place.with_name(f".{place.name}.draft")
    try:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        write(draft)
        for path in draft.rglob("*"):
            _flush(path)
        _flush(draft)
        if place.exists():  # only after a kill between this rename and what was to follow it
            shutil.rmtree(place)
        draft.rename(place)
        _flush(place.parent)
    except (OSError, SafetensorError) as exc:
        shutil.rmtree(draft, ignore_errors=True)
        raise StorageError(f"Could not write {place}: {exc}") from exc


def save_state(work: Path, step: int, tensors: dict[str, Tensor], state: Json) -> None:
    """Keep the state after ``step`` steps, and drop the states before it."""

    def write(folder: Path) -> None:
        save_file(tensors, folder / "tensors.safetensors")
        (folder / "state.json").write_text(json.dumps(state))

    publish(work / f"state-{step:08d}", write)
    for old in _states(work)[:-1]:
        shutil.rmtree(old, ignore_errors=True)


def last_state(work: Path) -> tuple[dict[str, Tensor], Json] | None:
    """The newest state that is whole."""
    for folder in reversed(_states(work)):
        return load_file(folder / "tensors.safetensors"), json.loads((folder / "state.json").read_text())
    return None


def drop_states(work: Path) -> None:
    for folder in _states(work):
        shutil.rmtree(folder, ignore_errors=True)


def _states(work: Path) -> list[Path]:
    return sorted(work.glob("state-*"))


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
