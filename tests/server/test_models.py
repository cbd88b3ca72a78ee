"""Models and embeddings, with the official SDK over a real socket."""

import openai
import pytest
from tests.serving import serve_for_test
from tests.spec import conforms

from hypotez.server import embeddings, models
from hypotez.server.auth import create_key
from hypotez.testing import ScriptedBackend
from hypotez.worker.routing import Served

TUNED = "ft:scripted:personal:shop:abcd1234"


@pytest.fixture
def server(tmp_path):
    other = ScriptedBackend(models=["gpt-5", "whisper-1"])
    with serve_for_test(
        tmp_path,
        ScriptedBackend(),
        routers=[models.router, embeddings.router],
        upstreams=[Served(other, ["gpt-5*"])],
        aliases={"fast": "scripted"},
    ) as server:
        yield server


def add_tuned(server, tmp_path, project="default"):
    folder = tmp_path / "models" / project
    folder.mkdir(parents=True)
    body = {"id": TUNED, "object": "model", "created": 1, "owned_by": "user", "shutdown_date": None}
    with server.store.write() as tx:
        tx.documents.create("model", body, project=project, private={"path": str(folder), "base": "scripted"})
    return folder


def test_the_list_names_everything_a_request_may_use(server, tmp_path):
    add_tuned(server, tmp_path)

    listed = server.client.models.list()

    assert {model.id for model in listed} == {"scripted", TUNED, "fast", "gpt-5", "gpt-4o-mini"}
    assert all(model.shutdown_date is None for model in listed)
    conforms("ListModelsResponse", listed)


def test_a_name_that_only_a_pattern_matches_is_there(server):
    assert server.client.models.retrieve("gpt-5-turbo").owned_by == "upstream"


def test_an_unknown_model_is_404(server):
    with pytest.raises(openai.NotFoundError):
        server.client.models.retrieve("nobody/knows-it")


def test_a_tuned_model_is_deleted_with_its_files(server, tmp_path):
    folder = add_tuned(server, tmp_path)

    deleted = server.client.models.delete(TUNED)

    assert deleted.deleted
    assert not folder.exists()
    conforms("DeleteModelResponse", deleted)
    with pytest.raises(openai.NotFoundError):
        server.client.models.retrieve(TUNED)


def test_a_base_model_cannot_be_deleted(server):
    with pytest.raises(openai.PermissionDeniedError):
        server.client.models.delete("scripted")


def test_a_model_that_nobody_knows_cannot_be_deleted_either(server):
    with pytest.raises(openai.NotFoundError):
        server.client.models.delete("nobody/knows-it")


def test_a_tuned_model_is_its_projects(server, tmp_path):
    add_tuned(server, tmp_path, project="theirs")
    key, _ = create_key(server.store, "mine", project="mine")
    client = openai.OpenAI(base_url=server.base_url, api_key=key, max_retries=0)

    assert TUNED not in {model.id for model in client.models.list()}
    for call in (client.models.retrieve, client.models.delete):
        with pytest.raises(openai.NotFoundError):
            call(TUNED)


def test_embeddings_in_both_encodings(server):
    create = server.client.embeddings.create

    plain = create(model="scripted", input=["a", "b", "a"], encoding_format="float")
    packed = create(model="scripted", input=["a", "b", "a"])

    assert plain.data[0].embedding == plain.data[2].embedding != plain.data[1].embedding
    assert packed.data[1].embedding == pytest.approx(plain.data[1].embedding, abs=1e-6)
    conforms("CreateEmbeddingResponse", plain)


def test_fewer_dimensions_are_still_of_unit_length(server):
    (row,) = server.client.embeddings.create(model="scripted", input="a", dimensions=4, encoding_format="float").data

    assert len(row.embedding) == 4
    assert sum(x * x for x in row.embedding) == pytest.approx(1)


@pytest.mark.parametrize("wrong", ["", [], [[1, 2]], [""], 5, [1.5]], ids=str)
def test_inputs_that_cannot_be_embedded_are_refused(server, wrong):
    with pytest.raises(openai.BadRequestError):
        server.client.embeddings.create(model="scripted", input=wrong)
