"""Processes that die, and writers that meet."""

import json
import os
import subprocess
import sys
from multiprocessing import get_context
from pathlib import Path

import pytest

from hypotez.errors import StorageError
from hypotez.model import job_ids

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(600)
def test_a_hundred_processes_killed_while_asking_lose_at_most_the_exchange_in_flight(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, ROOT / "tests/model/asking_until_killed.py", tmp_path, "100"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])},
    )

    assert done.returncode == 0, done.stderr
    counted = json.loads(done.stdout)
    assert counted["kills"] == 100
    assert counted["exchanges"] > 100


def test_many_processes_save_job_ids_and_none_is_lost(tmp_path: Path):
    with get_context("spawn").Pool(4) as pool:
        pool.starmap(job_ids.append, [(tmp_path / "job_ids.json", f"ftjob-{i}", "x") for i in range(40)])

    jobs = json.loads((tmp_path / "job_ids.json").read_text("utf-8"))
    assert sorted(job["id"] for job in jobs) == sorted(f"ftjob-{i}" for i in range(40))


@pytest.mark.parametrize(
    ("content", "expected"),
    [("{", "is not valid JSON"), ('{"a": 1}', "is not a list of jobs; give another filename")],
)
def test_a_file_that_is_no_list_of_jobs_is_left_alone(tmp_path: Path, content: str, expected: str):
    path = tmp_path / "job_ids.json"
    path.write_text(content)

    with pytest.raises(StorageError, match=expected):
        job_ids.append(path, "ftjob-1", "x")

    assert path.read_text() == content


def test_the_documented_import_path_works_from_the_checkout_s_root():
    code = (
        "import sys; from src.ai.openai.model.training import OpenAIModel, main; "
        "import hypotez; assert OpenAIModel is hypotez.OpenAIModel; assert callable(main); "
        "model = OpenAIModel(); assert not {'torch', 'openai', 'fastapi'} & set(sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def test_the_generated_twin_is_fresh():
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/unasync.py", "--check"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
