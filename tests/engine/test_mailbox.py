"""Calls left for an event loop by other threads."""

import asyncio
import threading

from hypotez.engine.mailbox import Mailbox


def test_every_note_of_many_threads_is_read_in_the_order_of_its_thread():
    seen: list[tuple[int, int]] = []

    async def read() -> None:
        mailbox, done = Mailbox.here(), asyncio.Event()

        def write(thread: int) -> None:
            for number in range(2000):
                mailbox.leave(lambda number=number: seen.append((thread, number)))
            mailbox.leave(lambda: done.set() if len(seen) == 8000 else None)

        threads = [threading.Thread(target=write, args=(thread,)) for thread in range(4)]
        for thread in threads:
            thread.start()
        await asyncio.wait_for(done.wait(), 20)

    asyncio.run(read())

    for thread in range(4):
        assert [number for whose, number in seen if whose == thread] == list(range(2000))


def test_a_note_left_for_a_closed_loop_is_dropped_and_the_next_loop_has_its_own():
    async def here() -> Mailbox:
        return Mailbox.here()

    read: list[str] = []
    old = asyncio.run(here())
    old.leave(lambda: read.append("old"))

    async def again() -> None:
        assert Mailbox.here() is Mailbox.here() is not old
        Mailbox.here().leave(lambda: read.append("new"))
        await asyncio.sleep(0.05)

    asyncio.run(again())

    assert read == ["new"]


def test_what_was_put_is_read_after_the_next_ring_and_before_what_came_later():
    read: list[str] = []

    async def here() -> None:
        mailbox = Mailbox.here()
        mailbox.ring()  # nothing lies there
        mailbox.put(lambda: read.append("put"))
        await asyncio.sleep(0.05)
        assert read == []
        mailbox.leave(lambda: read.append("left"))
        await asyncio.sleep(0.05)

    asyncio.run(here())

    assert read == ["put", "left"]
