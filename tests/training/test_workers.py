"""Batches shared out among threads, with the same sums whoever is faster."""

import time
from dataclasses import replace

import pytest
import torch
from tests.training.conftest import Notebook

from hypotez.training.job import Spec, train
from hypotez.training.workers import Workers, share_out


@pytest.mark.parametrize(
    ("lengths", "count", "limit", "lots"),
    [
        ([5, 3, 4], 1, 100, [[0, 1, 2]]),
        ([5, 3, 4], 2, 100, [[0], [1, 2]]),
        ([9], 2, 100, [[0]]),
        ([6, 6, 6, 6], 2, 12, [[0, 2], [1, 3]]),
        ([6, 6, 6, 6], 2, 6, [[0], [1], [2], [3]]),
        ([50, 1], 1, 10, [[0], [1]]),
    ],
)
def test_lots_are_about_equal_and_within_the_limit(lengths, count, limit, lots):
    assert share_out(lengths, count, limit) == lots


def test_results_come_in_the_order_of_the_parts():
    workers = Workers(2)

    assert list(workers.map(lambda wait: (time.sleep(wait), wait)[1], [0.05, 0.0, 0.02])) == [0.05, 0.0, 0.02]
    assert list(workers.map(lambda _: torch.get_num_threads(), [1, 2])) == [1, 1]
    workers.close()


def test_two_threads_repeat_to_the_last_bit_and_learn_what_one_does(base, supervised_file, tmp_path):
    spec = Spec(str(base), supervised_file, tmp_path / "a", n_epochs=4, batch_size=4, r=4, threads=2)
    first, second, alone = Notebook(), Notebook(), Notebook()

    train(spec, first)
    train(replace(spec, work=tmp_path / "b"), second)
    train(replace(spec, work=tmp_path / "c", threads=1), alone)

    assert first.steps == second.steps
    assert first.steps[12].train_loss == pytest.approx(alone.steps[12].train_loss, rel=1e-3)
