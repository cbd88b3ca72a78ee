"""The queue of fine-tuning jobs as clients see it: whose turn it is, why a job waits, and after a restart the same."""

import pytest
from tests.server.shop import Shop, shop_at


@pytest.fixture
def shop(tmp_path):
    with shop_at(tmp_path, api_key="sk-admin") as shop:
        yield shop


def three_of_one_key_and_one_of_another(shop: Shop) -> tuple[list[str], str]:
    shop.come_as("alice")
    mine = [shop.checked().id for _ in range(3)]
    shop.come_as("bob")
    return mine, shop.checked().id


def test_a_waiting_job_says_for_how_many_in_the_job_and_in_an_event(shop):
    first, second, third = (shop.checked() for _ in range(3))

    assert first.model_dump()["queue"] == {"ahead": 0, "reason": "Starting"}
    assert second.model_dump()["queue"] == {"ahead": 1, "reason": "Waiting for 1 job ahead"}
    assert third.model_dump()["queue"] == {"ahead": 2, "reason": "Waiting for 2 jobs ahead"}
    assert [shop.messages(job.id)[-1] for job in (second, third)] == [
        "Waiting for 1 job ahead",
        "Waiting for 2 jobs ahead",
    ]
    assert "queue" not in shop.jobs.create(model="scripted", training_file=shop.upload()).model_dump()
    assert shop.spawned == [first.id]


def test_keys_of_one_project_take_turns(shop):
    mine, theirs = three_of_one_key_and_one_of_another(shop)

    assert [shop.queue(id)["ahead"] for id in (mine[0], theirs, mine[1], mine[2])] == [0, 1, 2, 3]


def test_jobs_train_in_the_order_that_was_told_and_those_behind_hear_of_it(shop):
    mine, theirs = three_of_one_key_and_one_of_another(shop)
    trained = []
    for _ in range(4):
        id, journal = shop.begin()
        trained.append(id)
        shop.supervisor.tick()
        journal.fail("It ends here.", "server_error")

    assert trained == [mine[0], theirs, mine[1], mine[2]]
    told = [message for message in shop.messages(mine[2]) if message.startswith("Waiting")]
    assert told == ["Waiting for 2 jobs ahead", "Waiting for 3 jobs ahead", "Waiting for 1 job ahead"]


def test_a_paused_job_comes_back_behind_its_keys_others(shop):
    first, second, third = (shop.checked().id for _ in range(3))
    shop.jobs.pause(second)
    ahead = shop.queue(third)["ahead"]

    resumed = shop.jobs.resume(second)

    assert ahead == 1
    assert resumed.model_dump()["queue"] == {"ahead": 2, "reason": "Waiting for 2 jobs ahead"}
    assert [shop.queue(id)["ahead"] for id in (first, third)] == [0, 1]


def test_the_queue_is_the_same_after_a_restart(tmp_path):
    with shop_at(tmp_path, api_key="sk-admin") as shop:
        mine, theirs = three_of_one_key_and_one_of_another(shop)
        running, _ = shop.begin()
        shop.supervisor.tick()
        before = {id: (shop.queue(id), shop.messages(id)) for id in (theirs, *mine[1:])}

    with shop_at(tmp_path, api_key="sk-admin") as shop:
        shop.supervisor.tick()
        after = {id: (shop.queue(id), shop.messages(id)) for id in (theirs, *mine[1:])}
        last = shop.checked()

    assert running == mine[0]
    assert after == before
    assert [queue["reason"] for queue, _ in after.values()] == [
        "Waiting for 1 job ahead",
        "Waiting for 2 jobs ahead",
        "Waiting for 3 jobs ahead",
    ]
    assert last.model_dump()["queue"]["ahead"] == 2, "a third key comes after the first jobs of the two others"
    assert shop.spawned == []


def test_as_many_train_at_once_as_the_settings_say(tmp_path):
    with shop_at(tmp_path, at_once=2) as shop:
        ids = [shop.checked().id for _ in range(3)]
        spawned = list(shop.spawned)
        queues = [shop.queue(id) for id in ids]
        told = [shop.messages(id)[-1] for id in ids]

    assert spawned == ids[:2]
    assert queues == [
        {"ahead": 0, "reason": "Starting"},
        {"ahead": 1, "reason": "Starting"},
        {"ahead": 2, "reason": "Waiting for 2 jobs ahead"},
    ]
    assert told == [*2 * ["Files validated, moving job to queued state"], "Waiting for 2 jobs ahead"]
