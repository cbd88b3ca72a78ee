"""hypotez top against a real server, and its arithmetic on two looks at /metrics."""

import io
import socket

import pytest
from rich.console import Console
from tests.cli.conftest import SHOP, Inside

from hypotez.cli._frame import Sample, draw, first_token

METRICS = """# TYPE hypotez_http_responses_total counter
hypotez_http_responses_total{{status="200"}} 7
# TYPE hypotez_engine_running gauge
hypotez_engine_running{{model="a \\"b\\""}} 2
hypotez_engine_max_batch{{model="a \\"b\\""}} 32
hypotez_engine_output_tokens_total{{model="a \\"b\\""}} {tokens}
hypotez_engine_first_token_seconds_bucket{{model="a \\"b\\"",le="0.1"}} {fast}
hypotez_engine_first_token_seconds_bucket{{model="a \\"b\\"",le="+Inf"}} {all}
hypotez_engine_first_token_seconds_sum{{model="a \\"b\\""}} {sum}
hypotez_engine_first_token_seconds_count{{model="a \\"b\\""}} {all}
"""


def test_one_frame_of_a_running_server(client: Inside):
    assert client("ask", "-m", "pocket", "What is the capital of France?").returncode == 0
    started = client("train", SHOP, "--detach", "--epochs", "50").stdout.strip()
    try:
        shown = client("top", "--once")
    finally:
        client("jobs", "cancel", started)

    assert shown.returncode == 0, shown.stderr
    for told in ("200:", "queue", "0/32", "KV in use", "cache hits", "tokens/s", "first token", "0/", started):
        assert told in shown.stdout, shown.stdout


def test_without_a_server_one_line_names_the_cure(client: Inside):
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]

    shown = Inside(client.home, f"http://127.0.0.1:{port}/v1")("top", "--once")

    assert shown.returncode == 1
    assert f"No server answers at http://127.0.0.1:{port}/v1." in shown.stderr
    assert "hypotez serve" in shown.stderr
    assert "Traceback" not in shown.stderr


def test_rates_are_those_between_two_looks():
    before = Sample.of(METRICS.format(tokens=100, fast=10, all=10, sum=0.5), at=10.0)
    now = Sample.of(METRICS.format(tokens=300, fast=13, all=14, sum=2.5), at=12.0)
    console = Console(width=200, file=io.StringIO(), record=True)

    console.print(draw("http://x/v1", now, before, []))

    frame = console.export_text()
    assert 'a "b"' in frame  # labels are read as they were meant
    assert "100" in frame.split("2/32")[1]  # tokens per second
    assert first_token(now, before, 'a "b"') == pytest.approx(0.5)
    assert first_token(now, before, 'a "b"', part=0.7) == 0.1
    assert first_token(now, before, 'a "b"', part=0.95) == float("inf")
    assert first_token(now, now, 'a "b"') == pytest.approx(2.5 / 14)  # nothing new: of the whole life
