"""GET /metrics: the types and buckets it tells Prometheus, and who reads the names of tuned models."""

import httpx2
import pytest
from tests.serving import serve_for_test

from hypotez.engine.metrics import Metrics
from hypotez.server import models
from hypotez.server.auth import create_key
from hypotez.testing import ScriptedBackend

MINE, THEIRS = "ft:tiny:mine::aaaaaaaa", "ft:tiny:theirs::bbbbbbbb"


class Counting(ScriptedBackend):
    """The scripted backend with an engine's numbers and two tuned models in memory."""

    def metrics(self):
        numbers = Metrics(max_batch=4, running=1, prompt_tokens=64, cached_tokens=48, kv_blocks=100, kv_blocks_used=7)
        for seconds in (0.004, 0.05, 0.2, 99.0):
            numbers.first_token(seconds)
        return {'odd "name"': numbers.snapshot()}

    def adapters(self):
        return {"tiny": [MINE, THEIRS]}


@pytest.fixture
def server(tmp_path):
    with serve_for_test(tmp_path, Counting(), routers=[models.router]) as server:
        yield server


def lines(server, key: str = "none") -> list[str]:
    url = server.base_url.replace("/v1", "/metrics")
    return httpx2.get(url, headers={"authorization": f"Bearer {key}"}).text.splitlines()


def test_every_number_has_its_type_and_a_histogram_its_buckets(server):
    told = lines(server)

    assert "# TYPE hypotez_engine_running gauge" in told
    assert "# TYPE hypotez_engine_prompt_tokens_total counter" in told
    assert "# TYPE hypotez_engine_first_token_seconds histogram" in told
    name, model = "hypotez_engine_first_token_seconds", 'model="odd \\"name\\""'
    assert f'{name}_bucket{{{model},le="0.01"}} 1' in told
    assert f'{name}_bucket{{{model},le="0.05"}} 2' in told  # up to and including
    assert f'{name}_bucket{{{model},le="30"}} 3' in told
    assert f'{name}_bucket{{{model},le="+Inf"}} 4' in told
    assert f"{name}_count{{{model}}} 4" in told
    for needed in ("waiting", "running", "kv_blocks_used", "cached_tokens_total", "tokens_per_second"):
        assert any(line.startswith(f"hypotez_engine_{needed}{{") for line in told), needed


def test_names_of_tuned_models_are_for_their_project_and_administrators(server):
    with server.store.write() as tx:
        for name, project in ((MINE, "mine"), (THEIRS, "theirs")):
            tx.documents.create("model", {"id": name, "object": "model"}, project=project)
    mine, _ = create_key(server.store, "mine", project="mine")
    admin, _ = create_key(server.store, "root", admin=True)

    seen = [[name for name in (MINE, THEIRS) if name in "\n".join(lines(server, key))] for key in (mine, admin)]

    assert seen == [[MINE], [MINE, THEIRS]]
