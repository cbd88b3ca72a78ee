"""The compiled ways back give the same numbers in the process that compiles them and in those that find them."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import hashlib, torch
from hypotez.nn import kernels_back

torch.manual_seed(0)
found = hashlib.sha256()
for _ in range(4):
    scores = (torch.randn(600, 210) * 8).bfloat16()
    x, dy, weight = torch.randn(200, 576).bfloat16(), torch.randn(200, 576).bfloat16(), torch.randn(576).bfloat16()
    both, up = torch.randn(200, 1152).bfloat16(), torch.randn(200, 576).bfloat16()
    q, k, angle = (torch.randn(200, heads, 64).bfloat16() for heads in (6, 2, 1))
    for out in (
        kernels_back.softmax_(scores.view(3, 200, 210), 0.125, 100, 0, None),
        kernels_back.rms_norm(dy, x, weight, 1e-5),
        kernels_back.swiglu(up, both),
        kernels_back.join_rotated(q, k, k, angle, angle),
    ):
        found.update(out.view(torch.uint16).numpy().tobytes())
print(found.hexdigest())
"""


@pytest.mark.slow
def test_the_process_that_compiles_gets_what_later_ones_get_to_the_last_bit(tmp_path):
    first, second = (
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
            timeout=100,
        ).stdout
        for _ in range(2)
    )

    assert first == second
