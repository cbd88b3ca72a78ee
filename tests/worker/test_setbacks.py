"""Clocks that jump, disks that are full, processes that die: who holds a job, and what becomes of it."""

import errno
import subprocess
import sys
import time

import psutil
import pytest
from tests.worker.stored import AUTO, children, journal_of, queued, retrieved

from hypotez.errors import StorageError
from hypotez.progress import StepMetrics
from hypotez.wire.fine_tuning import Base, new_job
from hypotez.worker import job_events, job_states, jobs, setbacks
from hypotez.worker.children import HOST, began, holds, is_dead, owner_name
from hypotez.worker.training import Room, Supervisor
from hypotez.worker.training_journal import ClaimLost, claim

DAY = 86_400.0


def waiting(store):
    with store.read() as tx:
        return tx.work.waiting(job_states.WORK)


def set_clock(monkeypatch, by: float) -> None:
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + by)


def test_a_living_process_here_holds_its_claim_whatever_the_clock_says():
    me = owner_name()

    assert holds(me, time.time() - DAY, silence=1.0)
    assert holds(me, time.time() + DAY, silence=1.0)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system itself keeps the start by the time of day")
def test_when_a_process_began_is_not_told_by_the_time_of_day():
    start = owner_name().rpartition("/")[2]

    # the time of day moves with the clock, and a living process would look like another one
    assert abs(float(start) - psutil.Process().create_time()) > 1e6


def test_a_process_with_the_same_number_but_another_start_is_dead():
    host, pid, start = owner_name().split("/")

    assert is_dead(f"{host}/{pid}/1")
    assert not is_dead(f"{host}/{pid}/{start}")


def test_an_ended_process_is_dead_before_and_after_it_is_waited_for():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = f"{HOST}/{child.pid}/{began(child.pid)}"
    assert not is_dead(owner)

    child.kill()
    until = time.monotonic() + 60
    while not is_dead(owner) and time.monotonic() < until:
        time.sleep(0.01)
    assert is_dead(owner)
    child.wait()
    assert is_dead(owner)


@pytest.mark.parametrize("by", [DAY, -DAY], ids=["forward", "back"])
def test_a_clock_that_jumps_gives_nobody_a_second_claim(store, monkeypatch, by):
    mine, other = queued(store), queued(store)
    assert claim(store, mine.id, owner_name(), concurrency=1, silence=15)

    set_clock(monkeypatch, by)

    assert claim(store, mine.id, owner_name(), concurrency=1, silence=15) is None
    assert claim(store, other.id, owner_name(), concurrency=1, silence=15) is None


def test_a_claim_of_another_machine_is_free_when_its_heartbeat_is_old(store, monkeypatch):
    job = queued(store)
    assert claim(store, job.id, "elsewhere/1/1", concurrency=1, silence=15)
    assert claim(store, job.id, owner_name(), concurrency=1, silence=15) is None

    set_clock(monkeypatch, 60)

    assert claim(store, job.id, owner_name(), concurrency=1, silence=15)


def test_what_was_put_off_starts_though_the_clock_was_set_back(store, tmp_path, monkeypatch):
    job = queued(store)
    started = []
    supervisor = Supervisor(store, Room(tmp_path, ""), lambda id, room: started.append(id))
    with store.write() as tx:
        (item,) = tx.work.waiting(job_states.WORK)
        tx.work.release(item, due=time.time() + 5)
    supervisor.tick()
    assert started == []

    set_clock(monkeypatch, -DAY)
    supervisor.tick()

    assert started == [job.id]


def test_events_keep_their_order_when_the_clock_is_set_back(store, tmp_path, monkeypatch):
    job = queued(store)
    journal = journal_of(store, tmp_path, job)
    journal.begin()

    set_clock(monkeypatch, -DAY)
    journal.metrics(StepMetrics(1, 1, 1.0, 0.5))

    assert [event["type"] for event in children(store, job_events.KIND, job)] == ["message", "metrics"]


def test_the_newest_checkpoint_gets_the_models_name_though_the_clock_was_set_back(store, tmp_path, monkeypatch):
    job = queued(store)
    journal = journal_of(store, tmp_path, job)
    journal.begin()
    for step in (1, 2):
        draft = tmp_path / f"epoch-{step}"
        draft.mkdir()
        journal.checkpoint(draft, StepMetrics(step, 2, 1.0, 0.5))
        set_clock(monkeypatch, -DAY)

    journal.succeed(tmp_path / "epoch-2", 1)

    kept = children(store, "fine_tuning.job.checkpoint", job)
    assert [one["step_number"] for one in kept] == [1, 2]
    assert kept[-1]["fine_tuned_model_checkpoint"] == retrieved(store, job).body["fine_tuned_model"]


def test_a_full_disk_puts_a_job_off_and_says_so_once(store, tmp_path):
    job = queued(store)
    for _ in range(3):
        journal = journal_of(store, tmp_path, job)
        journal.put_off("The disk is full.", "disk_full")

    assert retrieved(store, job).status == "queued"
    assert [item.owner for item in waiting(store)] == [None]
    events = [event for event in children(store, job_events.KIND, job) if event["level"] == "warn"]
    assert [event["message"] for event in events] == ["The disk is full. It is tried again."]


def test_a_disk_that_stays_full_ends_the_job_with_the_reason(store, tmp_path):
    job = queued(store)
    for _ in range(setbacks.PATIENCE + 1):
        journal_of(store, tmp_path, job).put_off("The disk is full.", "disk_full")

    error = retrieved(store, job).body["error"]
    assert error["code"] == "disk_full"
    assert "21 times at step 0" in error["message"]


def test_a_step_forward_begins_the_count_again(store, tmp_path):
    job = queued(store)
    for step in range(1, setbacks.PATIENCE + 3):
        journal = journal_of(store, tmp_path, job)
        journal.metrics(StepMetrics(step, 100, 1.0, 0.5))
        journal.put_off("The disk is full.", "disk_full")

    assert retrieved(store, job).private["setbacks"] == 1


@pytest.mark.parametrize("ending", ["succeed", "fail", "pause"])
def test_only_the_holder_says_how_a_job_ended(store, tmp_path, ending):
    job = queued(store)
    journal = journal_of(store, tmp_path, job, owner="elsewhere/1/1")
    journal.begin()
    (tmp_path / "adapter").mkdir()
    (item,) = waiting(store)
    with store.write() as tx:
        assert tx.work.take(item, "elsewhere/2/2")

    with pytest.raises(ClaimLost):
        match ending:
            case "succeed":
                journal.succeed(tmp_path / "adapter", 1)
            case "fail":
                journal.fail("no", "server_error")
            case _:
                journal.paused()
    assert retrieved(store, job).status == "running"


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (StorageError("The database could not be written."), True),
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), True),
        (OSError(errno.EACCES, "Permission denied"), False),
        (RuntimeError("shapes differ"), False),
    ],
    ids=["database", "disk", "quota", "rights", "other"],
)
def test_what_counts_as_a_full_disk(error, full):
    assert setbacks.is_full(error) is full


def created(store):
    """A job whose file is to be checked."""
    row = b'{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}\n'
    store.blobs.put("file-1", [row * 12])
    body, private = new_job(Base("p", "p", "/p"), "default", {"training_file": "file-1"}, "supervised", AUTO, 1)
    with store.write() as tx:
        job = tx.documents.create(job_states.KIND, body, private=private)
        jobs.begin(tx, job)
    return job


def test_the_check_of_a_killed_server_is_done_by_the_next_one(store, tmp_path):
    job = created(store)
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    gone = f"{HOST}/{child.pid}/1"
    child.wait()
    with store.write() as tx:
        (item,) = tx.work.waiting(job_states.VALIDATION)
        tx.work.take(item, gone)

    Supervisor(store, Room(tmp_path, ""), lambda id, room: None).tick()

    assert retrieved(store, job).status == "queued"


def test_a_check_may_be_done_twice_at_once(store, tmp_path):
    job = created(store)
    with store.read() as tx:
        (item,) = tx.work.waiting(job_states.VALIDATION)

    jobs.validate(store, tmp_path, item)
    jobs.validate(store, tmp_path, item)

    assert retrieved(store, job).status == "queued"
    assert [path.name for path in jobs.job_folder(tmp_path, job.id).iterdir()] == ["training_file.jsonl"]
    assert len(waiting(store)) == 1
