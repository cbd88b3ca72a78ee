"""Memory that does not grow with the lengths of what is asked."""

import subprocess
import sys

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
