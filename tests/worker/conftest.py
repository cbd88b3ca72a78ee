"""A store of its own for each test of this room."""

import pytest

from hypotez.store import Store


@pytest.fixture
def store(tmp_path):
    store = Store.open(f"sqlite:///{tmp_path / 'h.db'}", tmp_path)
    yield store
    store.close()
