"""A busy thread: OpenAI's 400, or with ``x-hypotez-wait: true`` a wait until its run has ended."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from hypotez.server.context import Context
from hypotez.server.disconnect import while_connected
from hypotez.server.follow import ended
from hypotez.worker.threads import ThreadBusy

T = TypeVar("T")


async def when_free(ctx: Context, attempt: Callable[[], T]) -> T:
    """The result of ``attempt``, a transaction. Raises its ``ThreadBusy`` at once, or when a run's life has passed."""
    patient = ctx.request.headers.get("x-hypotez-wait", "").lower() == "true"
    deadline = asyncio.get_running_loop().time() + ctx.services.run_seconds
    while True:
        try:
            return await asyncio.to_thread(attempt)
        except ThreadBusy as busy:
            left = deadline - asyncio.get_running_loop().time()
            if not patient or left <= 0:
                raise
            await while_connected(ctx.request, _until_ended(ctx, busy.run_id, left))


async def _until_ended(ctx: Context, run_id: str, seconds: float) -> None:
    try:
        await asyncio.wait_for(ended(ctx, run_id), seconds)
    except TimeoutError:
        return
