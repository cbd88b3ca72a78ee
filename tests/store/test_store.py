"""The store as its callers use it: transactions, keyset lists, moves, events, the queue, blobs."""

import multiprocessing
import threading
import time
from pathlib import Path

import pytest

from hypotez.errors import InvalidRequest, NotFound, StorageError
from hypotez.store import Store


@pytest.fixture
def store(tmp_path: Path):
    store = Store.open(f"sqlite:///{tmp_path / 'h.db'}", tmp_path)
    yield store
    store.close()


def make(store: Store, *ids: str, at: int = 5, **kwargs):
    with store.write() as tx:
        return [tx.documents.create("run", {"id": id, "created_at": at, "status": "queued"}, **kwargs) for id in ids]


def ids(store: Store, **kwargs) -> list[str]:
    with store.read() as tx:
        return [item.id for item in tx.documents.page("run", **kwargs).items]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, ["d", "c", "b", "a"]),
        ({"order": "asc"}, ["a", "b", "c", "d"]),
        ({"limit": 2}, ["d", "c"]),
        ({"limit": 2, "after": "c"}, ["b", "a"]),
        ({"limit": 2, "before": "a"}, ["c", "b"]),
        ({"order": "asc", "limit": 2, "before": "d"}, ["b", "c"]),
        ({"order": "asc", "after": "a", "before": "d"}, ["b", "c"]),
    ],
    ids=str,
)
def test_pages_keep_the_order_of_creation_within_one_second(store, arguments, expected):
    make(store, "a", "b", "c", "d")

    assert ids(store, **arguments) == expected


def test_imported_objects_sort_by_the_time_they_carry(store):
    make(store, "new", at=9)
    make(store, "epoch", at=0)

    assert ids(store) == ["new", "epoch"]


def test_a_cursor_from_another_list_is_refused(store):
    make(store, "a", parent="thread_1")

    with pytest.raises(InvalidRequest, match="'a'"):
        ids(store, parent="thread_2", after="a")


def test_metadata_filters_compare_values(store):
    with store.write() as tx:
        tx.documents.create("run", {"id": "x", "metadata": {"team": "sales"}})
        tx.documents.create("run", {"id": "y", "metadata": {"team": "ops"}})

    assert ids(store, metadata={"team": "ops"}) == ["y"]


@pytest.mark.parametrize("name", ['a"b', "a\\b", "ключ", "🦊", "a.b", "$", "]", "", "a'b", '"."', ":name_0", "%s"])
def test_metadata_filters_take_any_name(store, name):
    with store.write() as tx:
        tx.documents.create("run", {"id": "x", "metadata": {name: "да", "b": "c"}})
        tx.documents.create("run", {"id": "y", "metadata": {"other": "да"}})

    assert ids(store, metadata={name: "да"}) == ["x"]
    assert ids(store, metadata={name: "да", "b": "c"}) == ["x"]
    assert ids(store, metadata={name: "нет"}) == []
    assert ids(store, metadata={f"{name}\0": "да"}) == []


def test_another_project_does_not_see_the_document(store):
    make(store, "a", project="p1")

    with store.read() as tx, pytest.raises(NotFound):
        tx.documents.get("run", "a", project="p2")


def test_a_move_happens_once_however_many_try(store):
    make(store, "a")
    won = []

    def attempt():
        with store.write() as tx:
            if tx.documents.move("run", "a", {"queued"}, "in_progress"):
                won.append(1)

    threads = [threading.Thread(target=attempt) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]

    assert len(won) == 1


def test_a_change_from_a_stale_reading_is_refused(store):
    (stale,) = make(store, "a")
    with store.write() as tx:
        tx.documents.change(stale, {"step": 1})

    with store.write() as tx:
        assert tx.documents.change(stale, {"step": 2}) is None


def test_a_failed_transaction_leaves_nothing(store):
    with pytest.raises(RuntimeError), store.write() as tx:
        tx.documents.create("run", {"id": "a"})
        tx.events.append("a", "thread.run.created", {})
        raise RuntimeError

    with store.read() as tx:
        assert tx.documents.find("run", "a") is None
        assert tx.events.after("a") == []


def test_any_json_text_comes_back_as_it_was(store):
    text = 'NUL \x00, emoji 🦊, lone surrogate \ud83d, русский, "quotes"'
    with store.write() as tx:
        tx.documents.create("run", {"id": "a", "text": text})

    with store.read() as tx:
        assert tx.documents.get("run", "a").body["text"] == text


def test_a_listener_hears_its_own_process_at_once(store):
    heard = threading.Event()
    with store.hub.listening("s", heard.set):
        with store.write() as tx:
            tx.events.append("s", "x", {})

        assert heard.is_set()


def append_elsewhere(url: str, folder: str) -> None:
    other = Store.open(url, Path(folder))
    with other.write() as tx:
        tx.events.append("s", "x", {})
    other.close()


def test_a_listener_hears_another_process(store, tmp_path):
    heard = threading.Event()
    with store.hub.listening("s", heard.set):
        arguments = (f"sqlite:///{tmp_path / 'h.db'}", str(tmp_path))
        multiprocessing.get_context("spawn").Process(target=append_elsewhere, args=arguments).start()

        assert heard.wait(60)


def test_work_is_claimed_once_and_again_when_its_owner_falls_silent(store):
    with store.write() as tx:
        tx.work.put("job", "ftjob-1")
        tx.work.put("job", "ftjob-1")
    with store.write() as tx:
        first = tx.work.claim("job", "a", silence=60)
        assert tx.work.claim("job", "b", silence=60) is None

    time.sleep(0.02)
    with store.write() as tx:
        second = tx.work.claim("job", "b", silence=0.01)
        assert not tx.work.beat(first)
        assert tx.work.finish(second)

    assert second.attempts == 2


def test_a_heartbeat_from_the_future_does_not_hold_work_for_ever(store, monkeypatch):
    now = time.time()
    with store.write() as tx:
        tx.work.put("job", "ftjob-1")
    monkeypatch.setattr(time, "time", lambda: now + 86_400)
    with store.write() as tx:
        tx.work.claim("job", "a", silence=15)
    monkeypatch.setattr(time, "time", lambda: now)

    with store.write() as tx:
        assert tx.work.claim("job", "b", silence=15)


def test_a_blob_that_failed_half_way_leaves_nothing(store):
    def parts():
        yield b"half"
        raise ConnectionResetError

    with pytest.raises(StorageError):
        store.blobs.put("file-1", parts())

    assert list(store.blobs.folder.iterdir()) == []


def test_a_blob_id_cannot_leave_the_folder(store):
    with pytest.raises(NotFound):
        store.blobs.open("../../etc/passwd")


def test_a_database_that_cannot_be_opened_says_where(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(StorageError, match="file"):
        Store.open(f"sqlite:///{tmp_path}/file/h.db", tmp_path / "file")
