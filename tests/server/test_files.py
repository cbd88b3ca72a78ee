"""Files, with the official SDK over a real socket."""

import io
import time

import openai
import pytest
from tests.serving import serve_for_test
from tests.spec import conforms

from hypotez.server import files
from hypotez.server.auth import create_key

LINES = b'{"messages": []}\n{"messages": [{"role": "user", "content": "\xd0\xb4\xd0\xb0"}]}\n'


@pytest.fixture
def server(tmp_path):
    with serve_for_test(tmp_path, routers=[files.router], max_upload=1_000_000) as server:
        yield server


def upload(server, content=LINES, name="train.jsonl", purpose="fine-tune", **extra):
    return server.client.files.create(file=(name, io.BytesIO(content)), purpose=purpose, **extra)


def test_a_file_comes_back_as_it_was(server):
    made = upload(server)

    assert (made.bytes, made.filename, made.purpose, made.status) == (
        len(LINES),
        "train.jsonl",
        "fine-tune",
        "processed",
    )
    assert server.client.files.content(made.id).read() == LINES
    assert server.client.files.retrieve(made.id) == made
    conforms("OpenAIFile", made)


@pytest.mark.parametrize("purpose", ["fine-tune", "assistants", "batch", "user_data", "vision", "evals"])
def test_every_purpose_that_openai_knows_is_taken(server, purpose):
    made = upload(server, purpose=purpose)

    assert [file.purpose for file in server.client.files.list(purpose=purpose)] == [made.purpose] == [purpose]


def test_lists_are_filtered_by_purpose_and_paged(server):
    ids = [upload(server, name=f"{n}.jsonl").id for n in range(3)]
    upload(server, b"\x89PNG", "a.png", "vision")

    page = server.client.files.list(purpose="fine-tune", limit=2)

    assert [file.id for file in page.data] == [ids[2], ids[1]]
    assert [file.id for file in page] == ids[::-1]
    conforms("ListFilesResponse", page)


def test_an_empty_list_conforms(server):
    conforms("ListFilesResponse", server.client.files.list())


def test_a_deleted_file_is_gone(server):
    made = upload(server)

    conforms("DeleteFileResponse", server.client.files.delete(made.id))

    for call in (server.client.files.retrieve, server.client.files.content, server.client.files.delete):
        with pytest.raises(openai.NotFoundError) as caught:
            call(made.id)
        assert caught.value.body["message"] == f"No such File object: {made.id}"
    assert list(server.store.blobs.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b'{"a": 1}\n[1, 2]\n', 'Line 2 is not a dictionary (starts with: "[1, 2]").'),
        (b"question,answer\na,b\n", 'Line 1 is not a dictionary (starts with: "question,answer").'),
        (b'{"a": 1}\n{"b": \n', "Line 2 is not a dictionary"),
        (b"\n\n", "it is empty"),
        (b"{" * 100_000, "Line 1 is not a dictionary"),
        (b'{"a": "\xff"}', "Line 1 is not a dictionary"),
    ],
    ids=["array", "csv", "cut", "empty", "deep", "latin-1"],
)
def test_training_files_that_are_not_jsonl_are_refused_at_once(server, content, text):
    with pytest.raises(openai.BadRequestError) as caught:
        upload(server, content)

    assert text in caught.value.body["message"]
    assert not server.store.blobs.folder.exists()


def test_an_unknown_purpose_is_told(server):
    with pytest.raises(openai.BadRequestError, match="'party' is not one of"):
        upload(server, purpose="party")


def test_a_file_beyond_the_limit_leaves_nothing(server):
    with pytest.raises(openai.APIStatusError) as caught:
        upload(server, b" " * 2_000_000)

    assert caught.value.status_code == 413
    assert server.client.files.list().data == []


def test_a_name_that_climbs_is_only_a_name(server, tmp_path):
    made = upload(server, name="../../../etc/passwd")

    assert made.filename == "passwd"
    assert [path.name for path in server.store.blobs.folder.iterdir()] == [made.id]


@pytest.mark.parametrize("id", ["..%2f..%2fhypotez.db", "file-x%00", "%2e%2e"], ids=str)
def test_ids_that_climb_find_nothing(server, id):
    with pytest.raises(openai.NotFoundError):
        server.client.get(f"/files/{id}/content", cast_to=str)


def test_a_retried_upload_is_one_file(server):
    first = upload(server)
    while first.id not in server.services.delivered:
        time.sleep(0.01)
    server.services.delivered.clear()  # the response never reached the client

    again = upload(server, extra_headers={"x-stainless-retry-count": "1"})

    assert again.id == first.id
    assert len(list(server.store.blobs.folder.iterdir())) == 1


def test_an_expired_file_is_not_found(server):
    made = upload(server, expires_after={"anchor": "created_at", "seconds": 3600})
    assert made.expires_at - made.created_at == 3600
    with server.store.write() as tx:
        tx.documents.change(tx.documents.get("file", made.id), {"expires_at": 1})

    with pytest.raises(openai.NotFoundError):
        server.client.files.retrieve(made.id)


def test_anothers_file_is_not_found(server):
    made = upload(server)
    key, _ = create_key(server.store, "other", project="other")
    client = openai.OpenAI(base_url=server.base_url, api_key=key, max_retries=0)

    assert client.files.list().data == []
    for call in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(openai.NotFoundError):
            call(made.id)
