"""What a request has been told and has not read yet. Belongs to one event loop; knows no engine."""

import asyncio
from typing import Any

Json = dict[str, Any]


class Pieces:
    """Written by the notes in a mailbox, read by the task that asked. Who reads seldom gets more at a time."""

    def __init__(self) -> None:
        self._there: list[Json] = []
        self._over = False
        self._error: BaseException | None = None
        self._reader: asyncio.Future[None] | None = None

    def add(self, choices: list[Json]) -> None:
        self._there += choices
        self._wake()

    def end(self, error: BaseException | None = None) -> None:
        """Nothing more will come; ``error`` says why, where it is not simply over."""
        self._over, self._error = True, error
        self._wake()

    async def take(self) -> list[Json]:
        """All that are there, waiting for the first of them; none at the end. Raises the error that it ended with."""
        if not self._there and not self._over:
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        there, self._there = self._there, []
        if not there and self._error is not None:
            raise self._error
        return there

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
