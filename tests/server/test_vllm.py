"""hypotez serve --backend vllm against a process that speaks vLLM's wire: started by us, or joined."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import httpx2
import openai
import psutil
import pytest
from tests.cli.conftest import Terminal, address
from tests.tiny import model_folder

from hypotez.store import Store

FAKE = Path(__file__).with_name("fake_vllm.py")
TUNED = "ft:tiny:personal::abcdefgh"


@pytest.fixture
def base(tmp_path):
    return model_folder(tmp_path / "tiny")


@pytest.fixture
def terminal(tmp_path, base):
    """A home with a tuned model of ``base``, and a ``vllm`` command on the path."""
    home, adapter, commands = tmp_path / "home", tmp_path / "adapter", tmp_path / "bin"
    for folder in (home, adapter, commands):
        folder.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    (adapter / "adapter_model.safetensors").write_bytes(b"1")
    store = Store.open(f"sqlite:///{home / 'hypotez.db'}", home)
    private = {"root": "tiny", "folder": str(base), "path": str(adapter), "full": False}
    with store.write() as tx:
        tx.documents.create("model", {"id": TUNED, "object": "model"}, project="default", private=private)
    store.close()
    command = commands / "vllm"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FAKE}" "$@"\n')
    command.chmod(0o755)
    return Terminal(tmp_path, home, {"PATH": f"{commands}:{os.environ['PATH']}"})


def said(client, model):
    messages = [{"role": "user", "content": "Hello"}]
    return json.loads(client.chat.completions.create(model=model, messages=messages).choices[0].message.content)


def test_it_is_started_with_adapters_loads_ours_when_asked_and_ends_with_us(terminal, base, tmp_path):
    serving = terminal.start("serve", "--port", "0", "--model", base, "--backend", "vllm")
    try:
        client = openai.OpenAI(base_url=address(serving), api_key="none", max_retries=0)
        plain, tuned, again = (said(client, name) for name in ("tiny", TUNED, TUNED))
        weights = tmp_path / "adapter" / "adapter_model.safetensors"
        os.utime(weights, (1, 1))  # trained anew
        anew = said(client, TUNED)
        client.models.delete(TUNED)
        with pytest.raises(openai.NotFoundError):
            said(client, TUNED)
        (child,) = [p for p in psutil.Process(serving.pid).children() if "fake_vllm.py" in " ".join(p.cmdline())]
        command = child.cmdline()
    finally:
        serving.terminate()
        serving.communicate()

    assert plain == ["tiny", str(base), 0]
    assert tuned == [TUNED, str(tmp_path / "adapter"), 1]
    assert again == tuned
    assert anew == [TUNED, str(tmp_path / "adapter"), 2]
    assert command[command.index("--max-lora-rank") + 1] == "64"
    assert not child.is_running()


def test_one_that_runs_already_is_joined_and_left_running(terminal, base):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    running = subprocess.Popen([sys.executable, FAKE, "serve", "/there/model", "--port", str(port), "--enable-lora"])
    url = f"http://127.0.0.1:{port}/v1"
    serving = terminal.start("serve", "--port", "0", "--model", base, "--vllm-url", url)
    try:
        client = openai.OpenAI(base_url=address(serving), api_key="none", max_retries=0)
        answers = [said(client, name) for name in ("tiny", TUNED)]
        serving.terminate()
        serving.communicate()
        left = httpx2.get(f"{url}/models").status_code
    finally:
        serving.kill()
        running.kill()
        running.wait()

    assert answers[0] == ["joined", "/there/model", 0]
    assert answers[1][0] == TUNED
    assert left == 200


def test_without_vllm_one_line_names_the_cure(terminal, base):
    terminal.variables["PATH"] = "/usr/bin:/bin"

    served = terminal("serve", "--port", "0", "--model", base, "--backend", "vllm")

    assert served.returncode == 1
    assert "--vllm-url" in served.stderr
    assert "Traceback" not in served.stderr
