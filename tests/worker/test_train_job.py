"""The training process's own decisions: what does not fit, and how it tells what went wrong."""

import errno
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tests.worker.stored import children, journal_of, queued

from hypotez.cli.train_job import _parts, _told, check_memory, within_memory
from hypotez.errors import InvalidRequest, StorageError
from hypotez.store import Document
from hypotez.training.spec import Spec
from hypotez.worker import job_events

JOB = Document(
    1, "ftjob-1", "fine_tuning.job", "default", "", 0, "running", 1, "{}", '{"hyperparameters": {"full": false}}'
)


def weights(folder: Path, size: int) -> Path:
    with (folder / "model.safetensors").open("wb") as file:
        os.truncate(file.fileno(), size)  # sparse
    return folder


def test_weights_that_cannot_fit_are_refused_before_the_start(tmp_path):
    with pytest.raises(MemoryError, match="GB are free"):
        check_memory(JOB, weights(tmp_path, 10**12))


def test_training_the_weights_themselves_takes_eight_times_as_much(tmp_path):
    full = replace(JOB, private_text='{"hyperparameters": {"full": true}}')
    folder = weights(tmp_path, 10**6)
    check_memory(JOB, folder)
    check_memory(full, folder)

    with pytest.raises(MemoryError, match=r"at least 800\.0 GB"):
        check_memory(full, weights(tmp_path, 10**11))


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (MemoryError("it needs at least 9.0 GB"), "out_of_memory", "it needs at least 9.0 GB"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "out_of_memory", "smaller model"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk_full", "No space left on device"),
        (StorageError("The database could not be written."), "disk_full", "Free some space"),
        (InvalidRequest("no", param="training_file", code="invalid_training_file"), "invalid_training_file", "no"),
        (RuntimeError("shapes differ"), "server_error", "RuntimeError: shapes differ"),
    ],
    ids=["does not fit", "torch ran out", "disk", "database", "data", "other"],
)
def test_what_went_wrong_is_told_with_its_cure(error, code, text):
    message, told, _ = _told(error)

    assert told == code
    assert text in message


def test_where_memory_runs_out_it_goes_on_with_smaller_parts_and_says_so(store, tmp_path):
    job = queued(store)
    journal = journal_of(store, tmp_path, job)
    tried = []

    def run(spec):
        tried.append(spec.parts)
        if spec.parts < 4:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate")
        return "trained"

    assert within_memory(run, Spec("base", tmp_path, tmp_path), journal) == "trained"
    assert tried == [1, 2, 4]
    said = [event["message"] for event in children(store, job_events.KIND, job)]
    assert said == [f"Out of memory: going on with 1/{n} of the tokens at once, to the same gradient" for n in (2, 4)]


def test_what_no_smaller_part_can_help_is_raised(store, tmp_path):
    journal = journal_of(store, tmp_path, queued(store))

    def never(spec):
        raise MemoryError

    def otherwise_wrong(spec):
        raise RuntimeError("shapes differ")

    with pytest.raises(MemoryError):
        within_memory(never, Spec("base", tmp_path, tmp_path), journal)
    with pytest.raises(RuntimeError, match="shapes"):
        within_memory(otherwise_wrong, Spec("base", tmp_path, tmp_path), journal)


@pytest.mark.parametrize(("deaths", "parts"), [(0, 1), (5, 1), (6, 2), (8, 8), (20, 64)])
def test_a_process_that_is_killed_at_one_step_again_and_again_takes_less_memory(deaths, parts):
    def at(step):
        private = {**JOB.private, "setbacks": deaths, "setback_step": 3, "step": step}
        return replace(JOB, private_text=json.dumps(private))

    assert _parts(at(3)) == parts
    assert _parts(at(4)) == 1


def test_a_job_of_another_method_does_not_wait_for_the_graders():
    """A job's process starts for every job, and reading them takes 40 ms of processor time."""
    code = "import sys, hypotez.cli.train_job; sys.exit('hypotez.grading.grade' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
