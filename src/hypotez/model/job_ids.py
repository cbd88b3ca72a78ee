"""``job_ids.json``: a list that many processes append to, whole at every instant."""

import json
import os
from pathlib import Path
from typing import Any

from filelock import FileLock

from hypotez.errors import StorageError
from hypotez.model.exchange import now


def append(path: Path, job_id: str, description: str) -> None:
    """Add ``{id, description, created}``. Raises ``StorageError`` and leaves the file as it was."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.name}.lock")):
            jobs = [*_read(path), {"id": job_id, "description": description, "created": now()}]
            draft.write_text(json.dumps(jobs, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
            draft.replace(path)
    except OSError as exc:
        draft.unlink(missing_ok=True)
        raise StorageError(f"{path}: the job id could not be saved: {exc.strerror}.") from exc


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.exists() or not path.stat().st_size:
        return []
    try:
        jobs = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as exc:
        raise StorageError(f"{path} is not valid JSON ({exc}); mend or move it first.") from exc
    if not isinstance(jobs, list):
        raise StorageError(f"{path} is not a list of jobs; give another filename.")
    return jobs
