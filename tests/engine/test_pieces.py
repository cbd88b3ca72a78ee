"""What a request has been told and has not read yet."""

import asyncio

import pytest

from hypotez.engine.pieces import Pieces
from hypotez.errors import ServerError


def test_a_reader_waits_for_the_first_piece_and_gets_all_that_are_there():
    async def read():
        pieces = Pieces()
        waiting = asyncio.create_task(pieces.take())
        await asyncio.sleep(0)
        pieces.add([{"index": 0}])
        pieces.add([{"index": 1}, {"index": 2}])
        both = await waiting
        pieces.end()
        return both, await pieces.take()

    assert asyncio.run(read()) == ([{"index": 0}, {"index": 1}, {"index": 2}], [])


def test_what_was_said_before_an_error_is_read_before_it():
    async def read():
        pieces = Pieces()
        pieces.add([{"index": 0}])
        pieces.end(ServerError("The engine was stopped."))
        said.extend(await pieces.take())
        await pieces.take()

    said = []
    with pytest.raises(ServerError, match="stopped"):
        asyncio.run(read())

    assert said == [{"index": 0}]


def test_a_reader_that_was_cancelled_is_not_woken():
    async def read():
        pieces = Pieces()
        waiting = asyncio.create_task(pieces.take())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        pieces.add([{"index": 0}])
        return await pieces.take()

    assert asyncio.run(read()) == [{"index": 0}]
