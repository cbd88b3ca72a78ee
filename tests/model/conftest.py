"""A fake server on a real socket, settings in a temporary folder, and asyncio for the async half."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from openai import OpenAI
from tests.assistants import assistants_server
from tests.model.fake_server import FakeServer

from hypotez.settings import Settings
from hypotez.testing import Reply, ScriptedBackend


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return Settings.load(home=tmp_path / "home")


@dataclass
class Assistants:
    """Our own server with the Assistants API; ``replies`` is the model's script."""

    client: OpenAI
    base_url: str
    replies: deque[Reply] = field(default_factory=deque)


@pytest.fixture
def assistants(tmp_path: Path) -> Iterator[Assistants]:
    replies: deque[Reply] = deque()
    (tmp_path / "server").mkdir()
    with assistants_server(tmp_path / "server", ScriptedBackend(lambda _: replies.popleft())) as running:
        yield Assistants(running.client, running.base_url, replies)
