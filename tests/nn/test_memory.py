"""Memory that does not grow with the lengths of what is asked."""

import subprocess
import sys

import psutil
import torch

from hypotez.nn.memory import Arena, zeros

LOAD = """
import psutil, torch
from hypotez.nn.memory import keep_few

keep_few()
weight = torch.ops.mkldnn._reorder_linear_weight(torch.zeros(1024, 256), None)
sizes = []
for rows in range(33, 433):
    torch.ops.mkldnn._linear_pointwise(torch.zeros(rows, 256), weight, None, "none", [], "")
    sizes.append(psutil.Process().memory_info().rss)
print(sizes[-1] - sizes[0])
"""


def test_products_of_many_lengths_do_not_fill_the_memory():
    ended = subprocess.run([sys.executable, "-c", LOAD], capture_output=True, text=True, check=True)

    assert int(ended.stdout) < 130 * 2**20


def test_tensors_lie_side_by_side_in_an_arena_until_it_is_full():
    arena = Arena(300)
    first, second = torch.arange(33, dtype=torch.int32), torch.randn(3, 5)

    kept, other = arena.keep(first), arena.keep(second)

    assert torch.equal(kept, first)
    assert torch.equal(other, second)
    assert other.data_ptr() - kept.data_ptr() == 192  # the next line of the cache
    large = torch.zeros(60)
    assert arena.keep(large) is large


def test_zeros_take_memory_only_where_they_were_written_to():
    before = psutil.Process().memory_info().rss

    table = zeros((64, 1 << 20), torch.float32, torch.device("cpu"))
    table[5] = 1

    assert psutil.Process().memory_info().rss - before < 16 << 20  # of 256 MB
    assert table[5].sum() == 1 << 20
    assert not table[6].any()
