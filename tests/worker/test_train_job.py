"""The training process's own decisions: what does not fit, and how it tells what went wrong."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from hypotez.cli.train_job import _told, check_memory
from hypotez.errors import InvalidRequest, StorageError
from hypotez.store import Document

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
