"""Webhooks as the official SDK verifies them, sent until somebody takes them."""

import asyncio
import base64
import time

import openai
import pytest

from hypotez.errors import SettingsError
from hypotez.store import Store
from hypotez.worker import job_states
from hypotez.worker.webhooks import Endpoint, Webhooks, event, signed

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()


@pytest.fixture
def store(tmp_path):
    store = Store.open(f"sqlite:///{tmp_path / 'h.db'}", tmp_path)
    yield store
    store.close()


def ended(store, status="succeeded"):
    with store.write() as tx:
        tx.documents.create(job_states.KIND, {"id": "ftjob-1", "status": "running"})
        job_states.move(tx, "ftjob-1", status)


def run(store, answers) -> list[tuple[str, dict, bytes]]:
    """Send with the given statuses as answers until there is nothing left to send."""
    sent = []

    async def send(url, headers, body):
        sent.append((url, headers, body))
        return answers[min(len(sent), len(answers)) - 1]

    async def main():
        working = asyncio.create_task(Webhooks(store, [Endpoint.of("https://mine/hook", SECRET)], send).run())
        until = time.monotonic() + 100
        while time.monotonic() < until and left(store):
            await asyncio.sleep(0.05)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)

    asyncio.run(main())
    return sent


def left(store) -> int:
    with store.read() as tx:
        return len(tx.work.waiting(job_states.WEBHOOK))


@pytest.mark.parametrize("status", ["succeeded", "failed", "cancelled"])
def test_the_sdk_accepts_what_was_sent(store, status):
    ended(store, status)

    [(url, headers, body)] = run(store, [200])

    client = openai.OpenAI(api_key="x", webhook_secret=SECRET)
    told = client.webhooks.unwrap(body, headers)
    assert url == "https://mine/hook"
    assert (told.type, told.data.id) == (f"fine_tuning.job.{status}", "ftjob-1")


def test_a_changed_body_is_not_accepted():
    body = event("ftjob-1", "failed", 5)
    headers = signed(Endpoint.of("https://mine", SECRET), body)

    with pytest.raises(openai.InvalidWebhookSignatureError):
        openai.OpenAI(api_key="x", webhook_secret=SECRET).webhooks.unwrap(body.replace(b"failed", b"passed"), headers)


def test_a_receiver_that_was_down_is_told_later_and_once(store):
    ended(store)

    sent = run(store, [503, 200])

    assert len(sent) == 2
    assert sent[0][2] == sent[1][2]


def test_a_secret_that_is_none_is_a_setting_to_mend():
    with pytest.raises(SettingsError, match="whsec_"):
        Endpoint.of("https://mine", "whsec_!!!")
