"""What ``tool_resources`` of an assistant or a thread name: files of the project, and vector stores, of which there are
none here. Knows no tool.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from hypotez.errors import NotFound
from hypotez.store import Transaction

Json = dict[str, Any]

FILES = "tool_resources.code_interpreter.file_ids"
STORES = "tool_resources.file_search.vector_store_ids"


def check(tx: Transaction, given: Json | None, *, project: str, known: Json | None = None) -> None:
    """Raises ``NotFound`` for what is not the project's. ``known`` may stay: an import brought it from elsewhere."""
    there = set(_named(known))
    for param, id in _named(given):
        if (param, id) in there:
            continue
        if param == STORES:
            raise NotFound(f"Vector store {id} not found.", param=param)
        if tx.documents.find("file", id, project=project) is None:
            raise NotFound(f"No such File object: {id}", param=param)


def _named(resources: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    for param in (FILES, STORES):
        _, tool, field = param.split(".")
        for id in ((resources or {}).get(tool) or {}).get(field) or ():
            yield param, id
