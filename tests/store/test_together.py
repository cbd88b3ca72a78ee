"""Transactions of tasks that come together: one commit, many outcomes."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy.dialects import postgresql

from hypotez.errors import StorageError
from hypotez.store import Store, Transaction, documents, events, work
from hypotez.store.pages import page_statement
from hypotez.store.prepared import Prepared
from hypotez.store.together import Together


@pytest.fixture
def store(tmp_path: Path):
    store = Store.open(f"sqlite:///{tmp_path / 'h.db'}", tmp_path)
    yield store
    store.close()


def making(id: str):
    return lambda tx: tx.documents.create("thing", {"id": id}).id


def then_failing(id: str):
    def work(tx: Transaction) -> None:
        tx.documents.create("thing", {"id": id})
        tx.events.append("heard", "made", id)
        raise LookupError(id)

    return work


def ids(store: Store) -> list[str]:
    with store.read() as tx:
        return [item.id for item in tx.documents.page("thing", order="asc").items]


async def together(store: Store, *works):
    return await asyncio.gather(*map(store.commit, works), return_exceptions=True)


def test_who_fails_is_undone_alone(store):
    first, failed, taken, last = asyncio.run(together(store, making("a"), then_failing("b"), making("a"), making("c")))

    assert (first, last) == ("a", "c")
    assert isinstance(failed, LookupError)
    assert "UNIQUE" in str(taken)
    assert ids(store) == ["a", "c"]
    with store.read() as tx:
        assert tx.events.after("heard") == []


def test_what_came_together_was_committed_together(store):
    commits = []

    def counted():
        commits.append(1)
        return store.write()

    group = Together(counted)

    async def hundred():
        return await asyncio.gather(*(group.commit(making(f"m{n}")) for n in range(100)))

    assert len(set(asyncio.run(hundred()))) == 100
    assert len(commits) < 10
    group.close()


def test_an_answer_is_told_only_after_the_commit(store):
    async def made_and_seen() -> bool:
        made = await store.commit(making("a"))
        return await store.look(lambda tx: tx.documents.find("thing", made) is not None)

    assert asyncio.run(made_and_seen())


def test_a_listener_hears_what_tasks_appended(store):
    heard = []
    with store.hub.listening("s", lambda: heard.append(1)):
        asyncio.run(together(store, lambda tx: tx.events.append("s", "x", {})))

    assert heard


def test_a_task_that_is_cancelled_leaves_the_others_their_answers(store):
    async def one_leaves():
        leaving, staying = (asyncio.create_task(store.commit(making(id))) for id in "ab")
        await asyncio.sleep(0)
        leaving.cancel()
        return await asyncio.gather(leaving, staying, return_exceptions=True)

    left, stayed = asyncio.run(one_leaves())

    assert isinstance(left, asyncio.CancelledError)
    assert stayed == "b"


def test_a_commit_that_fails_fails_for_all(store, tmp_path):
    other = Store.open(f"sqlite:///{tmp_path / 'h.db'}?timeout=0.05", tmp_path)
    try:
        with store.write() as tx:
            tx.documents.create("thing", {"id": "mine"})
            failures = asyncio.run(together(other, making("a"), making("b")))
    finally:
        other.close()

    assert [type(failure) for failure in failures] == [StorageError, StorageError]
    assert ids(store) == ["mine"]


def test_tasks_of_several_loops_share_the_store(store):
    async def both():
        return await asyncio.gather(
            store.commit(making("a")), asyncio.to_thread(lambda: asyncio.run(store.commit(making("b"))))
        )

    assert asyncio.run(both()) == ["a", "b"]


def test_every_statement_can_be_written_for_postgresql():
    shapes = [
        page_statement(whole=whole, project=True, parent=True, after=side, before="earlier", ascending=whole,
                       metadata=1, fields=("run_id",))
        for whole, side in ((True, "later"), (False, None))
    ]  # fmt: skip
    known = [one for room in (documents, events, work) for one in vars(room).values() if isinstance(one, Prepared)]

    texts = [prepared.form(postgresql.dialect())[0] for prepared in [*known, *shapes]]

    assert len(texts) > 20
    assert not any("?" in text for text in texts)
