"""Whose job trains next, however many keys want to train."""

from tests.worker.stored import queued

from hypotez.worker import job_states, turns


def order(store) -> list[str]:
    with store.read() as tx:
        return [item.target for item in turns.in_turn(tx.work.waiting(job_states.WORK))]


def end(store, id: str) -> None:
    with store.write() as tx:
        job_states.cancel(tx, id, tx.documents.get(job_states.KIND, id).project)


def test_projects_without_keys_take_turns(store):
    mine = [queued(store, "mine").id for _ in range(3)]
    theirs = [queued(store, "theirs").id for _ in range(2)]

    assert order(store) == [mine[0], theirs[0], mine[1], theirs[1], mine[2]]


def test_a_third_one_does_not_wait_until_two_with_many_jobs_are_done(store):
    """Two that alternate must not forget between their turns that others are due as well."""
    first = [queued(store, "first").id for _ in range(5)]
    second = [queued(store, "second").id for _ in range(5)]
    for id in (first[0], second[0], first[1]):
        end(store, id)
    late = queued(store, "third").id

    assert order(store) == [second[1], late, first[2], second[2], first[3], second[3], first[4], second[4]]


def test_who_comes_back_starts_at_the_turn_that_is_served(store):
    waiting = [queued(store, "waiting").id for _ in range(4)]
    for id in waiting[:2]:
        end(store, id)

    once = queued(store, "once").id
    again = queued(store, "once").id

    assert order(store) == [waiting[2], once, waiting[3], again]
