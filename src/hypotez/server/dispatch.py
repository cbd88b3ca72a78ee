"""Finds the JSON route of a path in as many steps as the path has segments. Knows nothing about what routes do.

Starlette tries one pattern after another, which took longer than answering. A path that is not found here (unknown, a
wrong method, a name with slashes in it, a form) is FastAPI's to answer.
"""

from collections.abc import Sequence
from typing import Generic, TypeVar

R = TypeVar("R")


class Dispatch(Generic[R]):
    """Routes by method and path template: ``/threads/{thread_id}``. A literal segment wins over a name."""

    def __init__(self) -> None:
        self._literals: dict[str, Dispatch[R]] = {}
        self._named: Dispatch[R] | None = None
        self._routes: dict[str, tuple[R, list[str]]] = {}

    def add(self, methods: Sequence[str], template: str, route: R) -> None:
        node, names = self, []
        for segment in template.split("/")[1:]:
            if segment.startswith("{"):
                names.append(segment[1:-1])
                node._named = node = node._named or Dispatch()
            else:
                node = node._literals.setdefault(segment, Dispatch())
        node._routes.update(dict.fromkeys(methods, (route, names)))

    def find(self, method: str, path: str) -> tuple[R, dict[str, str]] | None:
        """The route and what stands in the path for its names."""
        found: list[str] = []
        match = self._find(method, path.split("/"), 1, found)
        return None if match is None else (match[0], dict(zip(match[1], found, strict=True)))

    def _find(self, method: str, segments: list[str], at: int, found: list[str]) -> tuple[R, list[str]] | None:
        if at == len(segments):
            return self._routes.get(method)
        literal = self._literals.get(segments[at])
        match = None if literal is None else literal._find(method, segments, at + 1, found)
        if match is None and self._named is not None and segments[at]:
            found.append(segments[at])
            match = self._named._find(method, segments, at + 1, found)
            if match is None:
                found.pop()
        return match
