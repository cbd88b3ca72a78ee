"""Stores made by an earlier version are brought up to date when they are opened, with what lies in them."""

import sqlite3

from hypotez.store import Store

WITHOUT_TURNS = """
CREATE TABLE work (
    seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, kind VARCHAR(32) NOT NULL, target VARCHAR(128) NOT NULL,
    project VARCHAR(64) NOT NULL, due FLOAT NOT NULL, owner VARCHAR(128), heartbeat FLOAT, attempts INTEGER NOT NULL,
    UNIQUE (kind, target)
);
CREATE TABLE migrations (number INTEGER NOT NULL PRIMARY KEY, applied_at FLOAT);
INSERT INTO migrations VALUES (1, 0.0);
INSERT INTO work (kind, target, project, due, attempts) VALUES ('job', 'ftjob-1', 'shop', 0.0, 2);
"""


def test_work_that_was_queued_before_there_were_turns_has_the_first_one(tmp_path):
    path = tmp_path / "h.db"
    Store.open(f"sqlite:///{path}", tmp_path).close()
    with sqlite3.connect(path) as old:
        old.executescript("DROP TABLE work; DROP TABLE migrations;" + WITHOUT_TURNS)
    old.close()

    for _ in range(2):  # the second time there is nothing left to do
        store = Store.open(f"sqlite:///{path}", tmp_path)
        with store.write() as tx:
            tx.work.put("job", "ftjob-2", turn=1)
            items = tx.work.waiting("job")
        store.close()

    assert [(item.target, item.project, item.attempts, item.turn) for item in items] == [
        ("ftjob-1", "shop", 2, 0),
        ("ftjob-2", "default", 0, 1),
    ]
