import pytest
from tests.tiny import model_folder

from hypotez.backend import Card, Source
from hypotez.engine.engine import EngineOptions
from hypotez.engine.local import LocalBackend, LocalOptions
from hypotez.nn.load import load
from hypotez.text import Chat


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return model_folder(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="session")
def decoder(folder):
    return load(folder)


@pytest.fixture(scope="session")
def chat(folder):
    return Chat.open(folder)


@pytest.fixture
def backend_of(folder):
    """Makes a backend over the tiny model, ``sources`` by name; all are closed at the end by the test itself."""

    def make(sources=None, **engine):
        known = {"tiny": Source(str(folder), None, Card("tiny"))} if sources is None else sources
        options = LocalOptions(dtype="float32", device="cpu", engine=EngineOptions(**{"cache_tokens": 8192, **engine}))
        return LocalBackend(known.get, lambda: [s.card for s in known.values()], options)

    return make
