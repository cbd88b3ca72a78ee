"""kill -9 of the server in the middle of everything, a few times; ``tests.server.kill_runs`` does it 200 times."""

import pytest
from tests.server import kill_runs


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")  # OpenAI marked the SDK's calls so
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nothing_acknowledged_is_lost_doubled_or_stuck_when_the_server_is_killed(tmp_path):
    faults, said = kill_runs.torment(tmp_path, instants=10, seed=7)

    assert faults == []
    assert len(said.runs) >= kill_runs.CLIENTS
