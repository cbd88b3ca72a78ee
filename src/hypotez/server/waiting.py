"""A busy thread: OpenAI's 400, or with ``x-hypotez-wait: true`` a wait until its run has ended."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from hypotez.server.context import Context
from hypotez.server.disconnect import while_connected
from hypotez.server.follow import ended
from hypotez.store import Transaction
from hypotez.worker.threads import ThreadBusy

T = TypeVar("T")


async def when_free(ctx: Context, attempt: Callable[[Transaction], T]) -> T:
    """The result of ``attempt``, a transaction. Raises its ``ThreadBusy`` at once, or when a run's life has passed."""
    patient = ctx.request.headers.get("x-hypotez-wait", "").lower() == "true"
    deadline = asyncio.get_running_loop().time() + ctx.services.run_seconds
    while True:
        try:
            return await ctx.store.commit(attempt)
        except ThreadBusy as busy:
            left = deadline - asyncio.get_running_loop().time()
            if not patient or left <= 0:
                raise
            await while_connected(ctx.request, _until_ended(ctx, busy.run_id, left))


async def _until_ended(ctx: Context, run_id: str, seconds: float) -> None:
    # not ``wait_for``: before Python 3.12 it loses a cancellation that comes together with the end
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await ended(ctx, run_id)
