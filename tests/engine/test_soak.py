"""A few seconds of the soak; ``python -m tests.engine.soak`` is the long one."""

import asyncio

from tests.engine.soak import soak
from tests.tiny import model_folder


def test_nothing_is_lost_or_stuck_after_a_few_seconds_of_everything(tmp_path):
    report = asyncio.run(soak(tmp_path, model_folder(tmp_path / "tiny"), seconds=5, clients=8, seed=3))

    assert report.wrong == []
    assert report.blocks_in_use == 0
    assert report.numbers["requests_total"] > 0
    assert report.numbers["adapters"] <= 4
