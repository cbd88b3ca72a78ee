"""Following streams: what is there comes together, what comes later comes at once, and silence is told."""

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from hypotez.store import Store
from hypotez.worker.tail import REPLAY, Tail


@pytest.fixture
def store(tmp_path: Path):
    store = Store.open(f"sqlite:///{tmp_path / 'h.db'}", tmp_path)
    yield store
    store.close()


def append(store: Store, stream: str, *numbers: int) -> None:
    with store.write() as tx:
        tx.events.extend(stream, [("number", number) for number in numbers])


async def take(batches, count: int) -> list[list[int]]:
    """So many batches as the numbers that were appended."""
    return [[event.data for event in await anext(batches)] for _ in range(count)]


async def until(batches, last: int) -> list[int]:
    """The numbers up to ``last``, however they come."""
    found: list[int] = []
    while not found or found[-1] != last:
        found += [event.data for event in await anext(batches)]
    return found


def test_what_is_there_comes_together_and_what_follows_at_once(store):
    append(store, "s", 1, 2, 3)

    async def follow():
        async with aclosing(Tail(store).follow("s")) as batches:
            there = await take(batches, 1)
            await asyncio.to_thread(append, store, "s", 4, 5)
            await asyncio.to_thread(append, store, "other", 6)
            return there, await until(batches, 5)

    assert asyncio.run(follow()) == ([[1, 2, 3]], [4, 5])


def test_a_long_stream_is_replayed_whole(store):
    numbers = list(range(3 * REPLAY + 7))
    append(store, "s", *numbers)

    async def follow():
        async with aclosing(Tail(store).follow("s", after=2)) as batches:
            return await until(batches, numbers[-1])

    assert asyncio.run(follow()) == numbers[2:]


def test_a_follower_without_events_is_woken_now_and_then(store):
    append(store, "s", 1)

    async def follow():
        async with aclosing(Tail(store, tick=0.05).follow("s")) as batches:
            return await take(batches, 3)

    assert asyncio.run(follow()) == [[1], [], []]


def test_followers_may_come_and_go(store):
    async def follow():
        tail = Tail(store)
        for number in (1, 2):
            async with aclosing(tail.follow("s", after=number - 1)) as batches, aclosing(tail.follow("s")) as others:
                await asyncio.to_thread(append, store, "s", number)
                assert await until(batches, number) == [number]
                assert await until(others, number) == list(range(1, number + 1))

    asyncio.run(follow())
