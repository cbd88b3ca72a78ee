"""A few faults under jobs of the official SDK; ``tests.worker.fault_matrix`` does a hundred, of every kind."""

import pytest
from tests.tiny import model_folder
from tests.worker import fault_matrix


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_jobs_that_meet_faults_end_as_undisturbed_ones(tmp_path):
    kinds = ["kill_both", "clock_jump", "full_disk", "kill_child"]

    found, counts = fault_matrix.torment(
        tmp_path / "home", model_folder(tmp_path / "tiny"), kinds, seed=5, outstanding=2, epochs=6
    )

    assert found == []
    assert sum(counts["faults"].values()) == len(kinds)
    assert counts["jobs"] >= 4
