"""The memory of what reached its client: there after a kill, and no danger on a full disk."""

import resource

import pytest

from hypotez.server.delivered import PIECE, Delivered


@pytest.fixture
def delivered(tmp_path):
    delivered = Delivered(tmp_path)
    yield delivered
    delivered.close()


def test_another_process_of_the_same_home_knows_it_too(delivered, tmp_path):
    delivered.add("msg_1")

    other = Delivered(tmp_path)
    assert "msg_1" in other
    assert "msg_2" not in other
    other.close()


def test_what_is_written_into_has_its_room_on_the_disk_already(delivered, tmp_path):
    delivered.add("msg_1")

    (ring,) = tmp_path.glob("*.ring")
    assert ring.stat().st_blocks * 512 >= PIECE  # else a full disk would end the process at a later store


def test_a_disk_without_room_forgets_and_goes_on(delivered):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        delivered.add("msg_1")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    delivered.add("msg_2")

    assert "msg_1" not in delivered
    assert "msg_2" in delivered
