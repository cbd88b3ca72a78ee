"""``assistants.json``: the assistants a user keeps by name, ready to be created on any server.

A list of objects ``{"name", "instructions", "model", "description", "tools"}``, or an object of them by name.
"""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from filelock import FileLock

from hypotez.errors import SettingsError, StorageError

DEFAULT = "code_assistant"
_FIRST: list[dict[str, Any]] = [
    {
        "name": DEFAULT,
        "description": "Helps with code.",
        "instructions": "You help with programming. Answer briefly, with code where code says it best.",
    },
    {
        "name": "dialogue_assistant",
        "description": "Talks.",
        "instructions": "You are a friendly partner in conversation. Answer in the language you are spoken to.",
    },
]
_FIELDS = ("name", "description", "instructions", "model", "tools", "metadata", "temperature", "top_p")


def load(path: Path) -> list[SimpleNamespace]:
    """The file's assistants; a first file is written when there is none.

    Raises ``SettingsError`` naming line and column of what is broken.
    """
    try:
        if not path.exists():
            _write_first(path)
        text = path.read_text(encoding="utf-8-sig")
    except OSError as exc:
        raise StorageError(f"{path} cannot be read or written: {exc.strerror}.") from exc
    except UnicodeDecodeError as exc:
        raise SettingsError(f"{path} is not UTF-8 (byte {exc.start}). Save it as UTF-8.") from exc
    try:
        content = json.loads(text)
    except json.JSONDecodeError as exc:
        raise SettingsError(f"{path}: line {exc.lineno}, column {exc.colno}: {exc.msg}.") from exc
    return [SimpleNamespace(**entry) for entry in _entries(content, path)]


def body(entry: SimpleNamespace, model: str) -> dict[str, Any]:
    """What ``client.beta.assistants.create`` takes for one of them."""
    fields = {key: value for key, value in vars(entry).items() if key in _FIELDS and value is not None}
    return {"model": model, **fields}


def _entries(content: Any, path: Path) -> list[dict[str, Any]]:
    if isinstance(content, dict) and isinstance(content.get("assistants"), list):
        content = content["assistants"]
    elif isinstance(content, dict):
        content = [{"name": name, **entry} for name, entry in content.items() if isinstance(entry, dict)]
    if not isinstance(content, list):
        raise SettingsError(f"{path}: line 1, column 1: a list of assistants is needed.")
    for number, entry in enumerate(content, start=1):
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise SettingsError(f'{path}: assistant {number} has no name; write {{"name": "...", ...}}.')
    return content


def _write_first(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        if not path.exists():
            draft = path.with_name(f".{path.name}.new")
            draft.write_text(json.dumps(_FIRST, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
            draft.replace(path)
