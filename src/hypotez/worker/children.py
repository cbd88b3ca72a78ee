"""Which process owns a claim, and whether it still holds it. Knows no work and no job.

On this machine the table of processes decides, elsewhere the heartbeat does: heartbeats are times of day, and those
jump when a clock is set or a laptop wakes, while a process that is there is there.
"""

import socket
import time
from pathlib import Path

import psutil

HOST = socket.gethostname()


def owner_name() -> str:
    """A claim's owner: this machine, this process, and its start, because process numbers come round again."""
    me = psutil.Process().pid
    return f"{HOST}/{me}/{began(me)}"


def is_here(owner: str | None) -> bool:
    """Whether the owner is, or was, a process of this machine."""
    parts = (owner or "").split("/")
    return len(parts) == 3 and parts[0] == HOST and parts[1].isdigit()


def is_dead(owner: str | None) -> bool:
    """Whether the owner is known to be dead. Of processes on other machines nothing is known."""
    if not is_here(owner):
        return False
    _, pid, start = str(owner).split("/")
    try:
        return psutil.Process(int(pid)).status() == psutil.STATUS_ZOMBIE or began(int(pid)) != start
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return False


def holds(owner: str | None, heartbeat: float | None, silence: float) -> bool:
    """Whether the claim is somebody's: a living process's here, or one's elsewhere heard of in ``silence`` s."""
    if is_here(owner):
        return not is_dead(owner)
    # a heartbeat from the future is as good as none: that clock, or this one, was set
    return owner is not None and heartbeat is not None and abs(time.time() - heartbeat) <= silence


def began(pid: int) -> str:
    """When a process began. On Linux in ticks since the machine did: psutil adds the time of day of that, which jumps.

    Raises ``psutil.NoSuchProcess``.
    """
    if not Path("/proc/self/stat").exists():
        return f"{psutil.Process(pid).create_time():.2f}"
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()  # a name may hold spaces
    except OSError as exc:
        raise psutil.NoSuchProcess(pid) from exc
    return fields[19]  # starttime, the 22nd of proc(5)
