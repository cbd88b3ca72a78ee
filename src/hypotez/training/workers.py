"""Threads that each work on a part of a batch with kernels of one thread, instead of one with kernels of many.

A kernel of two threads ends when the slower one does, thousands of times a step, and everything between kernels runs on
one core; parts of a batch meet once a step. The results come back in the order of the parts, so sums do not depend on
who was faster. Knows no model.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Item = TypeVar("Item")
Found = TypeVar("Found")


class Workers:
    """``count`` of them; one works in the caller's thread with the caller's kernels."""

    def __init__(self, count: int) -> None:
        self.count = count
        # a new thread would take torch's default number of threads for itself
        self._pool = ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,)) if count > 1 else None

    def map(self, work: Callable[[Item], Found], items: Sequence[Item]) -> Iterator[Found]:
        if self._pool is None or len(items) == 1:
            return map(work, items)
        return self._pool.map(work, items)

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()


def share_out(lengths: Sequence[int], count: int, limit: int) -> list[list[int]]:
    """Indices of ``lengths`` in lots of about equal sums, a multiple of ``count`` of them if there are so many things.

    No lot is over ``limit`` unless it is one thing alone. Longest first, each to the lightest lot: within a third of
    the best cut (Graham 1969).
    """
    lots = min(len(lengths), count * max(1, -(-sum(lengths) // (limit * count))))
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    while True:
        found: list[list[int]] = [[] for _ in range(lots)]
        sums = [0] * lots
        for i in order:
            lightest = sums.index(min(sums))
            found[lightest].append(i)
            sums[lightest] += lengths[i]
        if lots == len(lengths) or max(sums) <= limit:
            return [sorted(lot) for lot in found if lot]
        lots = min(len(lengths), lots + count)
