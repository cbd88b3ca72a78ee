"""Messages of a thread by the official SDK over a real socket."""

import openai
import pytest
from tests.assistants import assistants_server

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")  # OpenAI marked the SDK's calls so


@pytest.fixture
def server(tmp_path):
    with assistants_server(tmp_path) as running:
        yield running


@pytest.fixture
def thread(server):
    return server.client.beta.threads.create()


@pytest.fixture
def messages(server):
    return server.client.beta.threads.messages


def test_text_comes_back_as_it_was_sent(messages, thread):
    text = 'NUL \x00, emoji 🦊, русский, "quotes", back\\slash\n'

    made = messages.create(thread.id, role="user", content=text, metadata={"n": "1"})

    assert made.content[0].text.value == text
    assert messages.retrieve(made.id, thread_id=thread.id) == made
    assert (made.status, made.role, made.run_id, made.assistant_id) == ("completed", "user", None, None)


def test_parts_keep_their_order_and_kind(messages, thread):
    made = messages.create(
        thread.id,
        role="user",
        content=[
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        ],
    )

    assert [part.type for part in made.content] == ["text", "image_url", "image_url"]
    assert [part.image_url.detail for part in made.content[1:]] == ["low", "auto"]


def test_lists_page_and_filter_by_run(server, messages, thread):
    ids = [messages.create(thread.id, role="user", content=str(n)).id for n in range(4)]
    assistant = server.client.beta.assistants.create(model="scripted")
    run = server.client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)

    page = messages.list(thread.id, limit=2, order="asc", after=ids[0])
    by_run = messages.list(thread.id, run_id=run.id).data

    assert [m.id for m in page.data] == ids[1:3]
    assert page.has_more
    assert [m.run_id for m in by_run] == [run.id]
    assert by_run[0].content[0].text.value == "echo: 3"
    assert len(list(messages.list(thread.id, limit=1))) == 5


def test_modify_and_delete(messages, thread):
    made = messages.create(thread.id, role="user", content="x")

    changed = messages.update(made.id, thread_id=thread.id, metadata={"read": "yes"})
    deleted = messages.delete(made.id, thread_id=thread.id)

    assert changed.metadata == {"read": "yes"}
    assert (deleted.deleted, deleted.object) == (True, "thread.message.deleted")
    with pytest.raises(openai.NotFoundError, match="No message found"):
        messages.retrieve(made.id, thread_id=thread.id)


@pytest.mark.parametrize(
    "wrong",
    [
        {"role": "user", "content": ""},
        {"role": "user", "content": []},
        {"role": "user"},
        {"role": "system", "content": "x"},
        {"role": "user", "content": [{"type": "audio"}]},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]},
        {"role": "user", "content": "x", "metadata": {"k": 1}},
        {"role": "user", "content": "x" * 256_001},
        {"role": "user", "content": "x", "extra": 1},
    ],
    ids=lambda wrong: str(wrong)[:60],
)
def test_a_wrong_message_is_a_400(server, thread, wrong):
    with pytest.raises(openai.BadRequestError):
        server.client.post(f"/threads/{thread.id}/messages", body=wrong, cast_to=object)


def test_a_file_that_is_not_there_is_named(messages, thread):
    with pytest.raises(openai.NotFoundError, match="file-nowhere"):
        messages.create(
            thread.id, role="user", content=[{"type": "image_file", "image_file": {"file_id": "file-nowhere"}}]
        )


def test_a_message_of_another_thread_is_not_found(server, messages, thread):
    made = messages.create(thread.id, role="user", content="x")
    other = server.client.beta.threads.create()

    with pytest.raises(openai.NotFoundError):
        messages.retrieve(made.id, thread_id=other.id)
