"""OpenAI's SDK for Node drives the same server. Once: ``npm install --prefix tests/node``."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.assistants import assistants_server

from hypotez.testing import ScriptedBackend, ToolCall

FOLDER = Path(__file__).parent
NODE = shutil.which("node")

pytestmark = [
    pytest.mark.skipif(NODE is None, reason="node is not installed"),
    pytest.mark.skipif(
        not (FOLDER / "node_modules" / "openai").exists(), reason="run `npm install --prefix tests/node` first"
    ),
]


def test_the_node_sdk_polls_streams_calls_tools_and_pages(tmp_path):
    script = [ToolCall("weather", {"city": "Oslo"}), "It is cold.", "Still cold there."]
    with assistants_server(tmp_path, ScriptedBackend(script)) as server:
        done = subprocess.run(
            [str(NODE), str(FOLDER / "program.mjs"), server.base_url], capture_output=True, text=True, timeout=110
        )

    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout) == {
        "polled": "completed",
        "streamed": "completed",
        "text": "Still cold there.",
        "said": ["Weather in Oslo?", "It is cold.", "And now?", "Still cold there."],
        "steps": ["message_creation", "tool_calls"],
        "refused": "NotFoundError 404",
        "deleted": True,
        "first": "thread.run.created",
        "last": "thread.run.completed",
    }
