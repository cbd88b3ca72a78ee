"""Which process owns a claim, and whether it still lives. Knows no work and no job."""

import socket

import psutil

HOST = socket.gethostname()


def owner_name() -> str:
    """A claim's owner: this machine, this process, and its start, because process numbers come round again."""
    me = psutil.Process()
    return f"{HOST}/{me.pid}/{me.create_time():.2f}"


def is_dead(owner: str | None) -> bool:
    """Whether the owner is known to be dead. Of processes on other machines nothing is known."""
    parts = (owner or "").split("/")
    if len(parts) != 3 or parts[0] != HOST or not parts[1].isdigit():
        return False
    try:
        found = psutil.Process(int(parts[1]))
        return bool(found.status() == psutil.STATUS_ZOMBIE or abs(found.create_time() - float(parts[2])) > 1.0)
    except psutil.NoSuchProcess:
        return True
    except (psutil.AccessDenied, ValueError):
        return False
