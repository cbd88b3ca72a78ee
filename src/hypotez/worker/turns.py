"""Whose fine-tuning job trains next: API keys that have jobs waiting take turns, each with its oldest one.

A job's turn is fixed when it is queued and stands in its row, so a restart changes nothing. It is the one after the
last of its key's jobs; a key that has none comes in at the turn that is being served (start-time fair queueing, Goyal
et al. 1996), so that fifty jobs of one key do not keep another's first one waiting. Knows only rows of the queue.
"""

from collections.abc import Sequence

from hypotez.store import WorkItem


def next_turn(items: Sequence[WorkItem], mine: Sequence[WorkItem]) -> int:
    """The turn of a new job, where ``items`` wait or train and ``mine`` of them are the same key's."""
    if mine:
        return max(item.turn for item in mine) + 1
    return min((item.turn for item in items), default=0)


def in_turn(items: Sequence[WorkItem]) -> list[WorkItem]:
    """Those that nobody trains yet, the next one first."""
    return sorted((item for item in items if item.owner is None), key=lambda item: (item.turn, item.seq))


def places(items: Sequence[WorkItem]) -> dict[str, int]:
    """How many jobs are ahead of each that waits, those in training included."""
    waits = in_turn(items)
    return {item.target: len(items) - len(waits) + n for n, item in enumerate(waits)}


def reason(ahead: int, at_once: int) -> str:
    """Why a job waits that has so many ahead of it, where ``at_once`` may train at the same time."""
    return f"Waiting for {ahead} job{'' if ahead == 1 else 's'} ahead" if ahead >= at_once else "Starting"
