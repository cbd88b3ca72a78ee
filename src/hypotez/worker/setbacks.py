"""What becomes of a job whose process died or could not write: it is tried again, each time a little later, and given
up when it comes no further. Knows no process.
"""

import errno
import time
from typing import Any

from hypotez.errors import StorageError
from hypotez.store import Transaction, WorkItem
from hypotez.worker import job_events, jobs
from hypotez.worker.job_states import KIND, WORK

Json = dict[str, Any]

PATIENCE = 20  # times in a row without a step forward
LONGEST_PAUSE = 10.0  # seconds


def is_full(error: Exception) -> bool:
    """Whether it is a matter of room on the disk, which may be there again soon."""
    full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return isinstance(error, StorageError) or (isinstance(error, OSError) and error.errno in full)


def is_due(item: WorkItem) -> bool:
    """Also what is due later than anything is put off here: the clock was set back since."""
    return not 0 < item.due - time.time() <= LONGEST_PAUSE


def later(times: int) -> float:
    """When to try again after so many setbacks, in unix seconds: at once for the first ones."""
    return time.time() + min(LONGEST_PAUSE, 0.1 * 2**times) if times > 3 else 0.0


def again(tx: Transaction, item: WorkItem, error: Json, event: str = "") -> None:
    """Give the job back, telling of ``event`` if there is one; after ``PATIENCE`` times at a step ``error`` ends it."""
    job = tx.documents.find(KIND, item.target)
    if job is None:
        tx.work.remove(WORK, item.target)
        return
    step = job.private.get("step", 0)
    times = job.private.get("setbacks", 0) + 1 if job.private.get("setback_step") == step else 1
    tx.documents.change(job, private={"setbacks": times, "setback_step": step})
    if times > PATIENCE:
        jobs.fail(tx, job.id, {**error, "message": f"{error['message']} (It was tried {times} times at step {step}.)"})
        return
    if event:
        job_events.tell(tx, job.id, event, project=job.project, level="warn", key=f"{event} at {step}")
    tx.work.release(item, due=later(times))
