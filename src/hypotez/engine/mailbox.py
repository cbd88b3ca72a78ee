"""Calls into an event loop from other threads: one wake-up of the loop for all that lie there. Knows no engine.

``call_soon_threadsafe`` is the same, but reads its socket twice for every call, the second time into an exception, and
lets go of Python's lock at each: a token of a stream cost 10 to 25 microseconds more.
"""

import asyncio
import os
from collections import deque
from collections.abc import Callable
from weakref import WeakKeyDictionary

Note = Callable[[], None]


class Mailbox:
    """Of one event loop. What is left for a loop that was closed is never read."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._notes: deque[Note] = deque()
        self._rung = False
        self._bell, self._ringing = os.pipe()
        os.set_blocking(self._bell, False)
        loop.add_reader(self._bell, self._read)

    @classmethod
    def here(cls) -> "Mailbox":
        """The running loop's."""
        loop = asyncio.get_running_loop()
        found = _mailboxes.get(loop)
        if found is None:
            found = _mailboxes[loop] = cls(loop)
        return found

    def leave(self, note: Note) -> None:
        """From any thread. Notes are called in the order in which they were left."""
        self.put(note)
        self.ring()

    def put(self, note: Note) -> None:
        """As ``leave``, but the loop is not woken for it: whoever puts must ``ring``, soon."""
        self._notes.append(note)

    def ring(self) -> None:
        if self._notes and not self._rung:
            self._rung = True
            os.write(self._ringing, b"\0")

    def _read(self) -> None:
        os.read(self._bell, 1)
        self._rung = False  # before the notes are read: who finds it set has left his among them
        while self._notes:
            self._notes.popleft()()

    def __del__(self) -> None:
        os.close(self._bell)
        os.close(self._ringing)


_mailboxes: WeakKeyDictionary[asyncio.AbstractEventLoop, Mailbox] = WeakKeyDictionary()
