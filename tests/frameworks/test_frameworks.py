"""Frameworks written for OpenAI's Assistants API run their assistant class against this server, unchanged.

Each program runs in the environment of ``requirements.txt``, named by HYPOTEZ_FRAMEWORKS_PYTHON.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest
from tests.assistants import assistants_server

from hypotez.testing import ScriptedBackend, ToolCall

PYTHON = os.environ.get("HYPOTEZ_FRAMEWORKS_PYTHON")
FOLDER = Path(__file__).parent
PROGRAMS = ["langchain_program", "llama_index_program", "autogen_program", "agency_swarm_program"]

pytestmark = [
    pytest.mark.skipif(PYTHON is None, reason="HYPOTEZ_FRAMEWORKS_PYTHON is not set; see requirements.txt"),
    pytest.mark.timeout(300),
]


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_frameworks_assistant_calls_its_tool_and_answers(tmp_path, program):
    backend = ScriptedBackend([ToolCall("multiply", {"a": 6, "b": 7}), "It is 42."])
    with assistants_server(tmp_path / "home", backend) as server:
        environment = {**os.environ, "OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "none"}
        done = subprocess.run(
            [str(PYTHON), str(FOLDER / f"{program}.py")], env=environment, capture_output=True, text=True, timeout=280
        )

    assert done.returncode == 0, done.stderr[-3000:]
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    assert answer == {"calls": [["multiply", {"a": 6, "b": 7}]], "text": "It is 42."}
    assert backend.requests[0]["tools"][0]["function"]["name"] == "multiply"
    assert backend.requests[1]["messages"][-1]["content"] == "42"
