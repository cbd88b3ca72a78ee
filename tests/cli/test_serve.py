"""hypotez serve and keys, and what happens when the machine says no: port taken, disk full, Ctrl-C anywhere."""

import json
import resource
import signal
import socket
import time
from pathlib import Path

import pytest
from PIL import Image
from tests.cli.conftest import SHOP, Inside, Terminal, address


@pytest.fixture
def fresh(tmp_path: Path) -> Terminal:
    """A data folder that nobody else uses."""
    return Terminal(tmp_path, tmp_path / "home")


def test_a_port_in_use_is_one_line_with_the_cure(fresh: Terminal):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        served = fresh("serve", "--port", port)

    assert served.returncode == 1
    assert str(port) in served.stderr
    assert "--port" in served.stderr
    assert "Traceback" not in served.stderr


def test_off_loopback_a_key_is_required(fresh: Terminal):
    served = fresh("serve", "--host", "0.0.0.0", "--port", "0")

    assert served.returncode == 1
    assert "hypotez keys create" in served.stderr or "HYPOTEZ_API_KEY" in served.stderr
    assert "Traceback" not in served.stderr


def test_a_wrong_key_is_refused_and_the_right_one_opens_until_it_is_revoked(fresh: Terminal):
    made = json.loads(fresh("keys", "create", "alice", "--json").stdout)
    serving = fresh.start("serve", "--port", "0")
    try:
        url = address(serving)

        wrong = fresh("--base-url", url, "--api-key", "sk-wrong", "models")
        right = fresh("--base-url", url, "--api-key", made["key"], "models")
        listed = fresh("keys", "list").stdout
        fresh("keys", "revoke", made["id"])
    finally:
        serving.terminate()
        serving.communicate()

    assert wrong.returncode == 1
    assert "--api-key" in wrong.stderr
    assert right.returncode == 0, right.stderr
    assert made["id"] in listed
    assert made["key"] not in listed
    assert "No keys" in fresh("keys", "list").stderr


def test_assistants_are_created_listed_shown_and_deleted(client: Inside):
    made = client("assistants", "create", "Shop helper", "--instructions", "Answer shortly.").stdout.strip()

    listed = client("assistants", "list").stdout
    shown = json.loads(client("assistants", "show", made).stdout)
    deleted = client("assistants", "delete", made)

    assert made in listed
    assert shown["instructions"] == "Answer shortly."
    assert deleted.returncode == 0
    assert client("assistants", "show", made).returncode == 1


def test_chat_with_an_assistant_by_name(client: Inside):
    client("assistants", "create", "Guide", "--model", "pocket")

    talked = client("chat", "--assistant", "Guide", text="What is the capital of France?\n")

    assert talked.returncode == 0, talked.stderr
    assert "Paris" in talked.stdout


def small_files() -> None:
    """What a full disk looks like to a process: no file grows beyond a few pages."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (16384, 16384))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


@pytest.mark.parametrize(
    "arguments", [("ask", "Hello"), ("train", SHOP), ("keys", "create", "alice")], ids=lambda a: a[0]
)
def test_a_full_disk_is_one_line_with_the_cure(fresh: Terminal, arguments: tuple[object, ...]):
    asked = fresh.start(*arguments, before=small_files)
    _, said = asked.communicate()

    assert asked.returncode == 1
    assert "Error: " in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("arguments", "seconds"),
    [
        (("ask", "Tell me about gold"), 0.8),
        (("chat",), 1.2),
        (("describe", "picture.png"), 0.2),
        (("models",), 0.1),
        (("assistants", "list"), 0.4),
        (("jobs", "list"), 0.0),
        (("train", SHOP, "--epochs", "1"), 1.6),
        (("demo", "--quick"), 2.5),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_ctrl_c_at_any_moment_leaves_quietly(fresh: Terminal, arguments: tuple[object, ...], seconds: float):
    Image.new("RGB", (32, 32), "red").save(fresh.folder / "picture.png")
    started = fresh.start(*arguments)
    assert started.stdin
    started.stdin.write("Hello\n")
    started.stdin.flush()
    while not fresh.home.exists() and started.poll() is None:
        time.sleep(0.01)

    time.sleep(seconds)  # somewhere in the middle; where exactly differs from machine to machine
    started.send_signal(signal.SIGINT)
    said = started.communicate()[1]

    assert started.returncode in (130, 0, 1)  # 0 or 1: it had ended by itself before
    assert "Traceback" not in said


def test_ctrl_c_ends_the_server_in_order(fresh: Terminal):
    serving = fresh.start("serve", "--port", "0")
    address(serving)

    serving.send_signal(signal.SIGINT)
    _, said = serving.communicate()

    assert serving.returncode == 0
    assert "Traceback" not in said
