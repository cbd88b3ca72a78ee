"""An export of OpenAI's threads, imported, used, exported again."""

import json
import re
from pathlib import Path

import pytest
from tests.assistants import assistants_server
from typer.testing import CliRunner

from hypotez.errors import DataError
from hypotez.store import Store
from hypotez.testing import ScriptedBackend
from hypotez.transfer import read_export, write_export

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")  # OpenAI marked the SDK's calls so


def dump(value) -> str:
    """As the public export tool writes."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


ASSISTANT = {
    "id": "asst_old",
    "object": "assistant",
    "created_at": 1700000000,
    "name": "Лавка",
    "description": None,
    "model": "gpt-4o",
    "instructions": "Be brief.",
    "tools": [],
    "top_p": 1.0,
    "temperature": 0.01,
    "reasoning_effort": None,
    "tool_resources": {},
    "metadata": {},
    "response_format": "auto",
}


def message(number: int, role: str, text: str, **values) -> dict:
    return {
        "id": f"msg_old{number}",
        "object": "thread.message",
        "created_at": 1700000001,  # all in one second: their order is that of the file
        "assistant_id": None,
        "thread_id": "thread_old",
        "run_id": None,
        "role": role,
        "content": [{"type": "text", "text": {"value": text, "annotations": []}}],
        "attachments": [],
        "metadata": {},
        **values,
    }


STEP = {
    "id": "step_old",
    "object": "thread.run.step",
    "created_at": 1700000002,
    "run_id": "run_old",
    "assistant_id": "asst_old",
    "thread_id": "thread_old",
    "type": "message_creation",
    "status": "completed",
    "step_details": {"type": "message_creation", "message_creation": {"message_id": "msg_old1"}},
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
}
RUN = {
    "id": "run_old",
    "object": "thread.run",
    "created_at": 1700000002,
    "assistant_id": "asst_old",
    "thread_id": "thread_old",
    "status": "completed",
    "model": "gpt-4o",
    "steps": [STEP],
}
FILE = {"id": "file-old", "object": "file", "created_at": 1700000000, "filename": "a.png", "bytes": 3, "purpose": "v"}
THREAD = {
    "export_schema": "assistants-thread-export/v1",
    "thread_id": "thread_old",
    "exported_at": "2026-08-01T10:00:00+00:00",
    "thread": {"id": "thread_old", "object": "thread", "created_at": 1700000000, "metadata": {}, "tool_resources": {}},
    "messages": [
        message(0, "user", "Привет 🦊"),
        message(1, "assistant", "Hello", run_id="run_old", assistant_id="asst_old"),
        message(2, "user", "third"),
    ],
    "runs": [RUN],
    "files": {"file-old": FILE},
    "errors": [],
}
LOST = {
    "export_schema": "assistants-thread-export/v1",
    "thread_id": "thread_lost",
    "exported_at": "2026-08-01T10:00:00+00:00",
    "thread": None,
    "messages": [],
    "runs": [],
    "files": {},
    "errors": [{"object": "thread", "id": "thread_lost", "error": "not_found_or_deleted", "detail": "gone"}],
}
MANIFEST = {"export_schema": "assistants-export-manifest/v1", "exported_at": "2026-08-01T10:00:00+00:00", "notes": []}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    (folder / "threads").mkdir(parents=True)
    (folder / "manifest.json").write_text(dump(MANIFEST))
    (folder / "assistants.json").write_text(dump([ASSISTANT]))
    (folder / "threads" / "thread_old.json").write_text(dump(THREAD))
    (folder / "threads" / "thread_lost.json").write_text(dump(LOST))
    return folder


@pytest.fixture
def store(tmp_path: Path):
    store = Store.open(f"sqlite:///{tmp_path / 'home' / 'hypotez.db'}", tmp_path / "home")
    yield store
    store.close()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.json")}


def test_what_was_not_changed_is_exported_the_same_to_the_byte(store, folder, tmp_path):
    read_export(store, folder)

    exported = write_export(store, tmp_path / "out")

    assert contents(tmp_path / "out") == contents(folder)
    assert (exported.assistants, exported.threads, exported.unchanged) == (1, 1, 1)


def test_somebody_elses_spacing_is_kept_too(store, folder, tmp_path):
    (folder / "threads" / "thread_old.json").write_text(json.dumps(THREAD))
    (folder / "assistants.json").write_text(json.dumps([ASSISTANT]).replace("\n", "\r\n"))
    read_export(store, folder)

    write_export(store, tmp_path / "out")

    assert contents(tmp_path / "out") == contents(folder)


def test_importing_twice_changes_nothing(store, folder, tmp_path):
    first = read_export(store, folder)
    second = read_export(store, folder)
    write_export(store, tmp_path / "out")

    assert (first.assistants, first.threads, first.messages, first.runs, first.steps, first.files) == (1, 1, 3, 1, 1, 1)
    assert (second.threads, second.messages, second.skipped) == (0, 0, 2)
    assert contents(tmp_path / "out") == contents(folder)


def test_an_imported_thread_goes_on_where_it_stopped(folder, tmp_path):
    home = tmp_path / "home"
    backend = ScriptedBackend(["Welcome back."])
    with assistants_server(home, backend) as server:
        read_export(server.running.store, folder)
        beta = server.running.client.beta

        run = beta.threads.runs.create_and_poll(thread_id="thread_old", assistant_id="asst_old")
        said = [m.content[0].text.value for m in beta.threads.messages.list("thread_old", order="asc")]
        old = beta.threads.messages.retrieve("msg_old1", thread_id="thread_old")
        write_export(server.running.store, tmp_path / "out")

    assert run.status == "completed"
    assert said == ["Привет 🦊", "Hello", "third", "Welcome back."]
    assert old.created_at == 1700000001
    assert [m["content"] for m in backend.requests[0]["messages"]] == ["Be brief.", "Привет 🦊", "Hello", "third"]
    assert backend.requests[0]["temperature"] == 0.01
    record = json.loads((tmp_path / "out" / "threads" / "thread_old.json").read_text())
    assert len(record["messages"]) == 4
    assert record["exported_at"] > THREAD["exported_at"]
    assert record["files"] == {"file-old": FILE}


def test_an_export_of_our_own_is_imported_elsewhere(folder, tmp_path):
    with assistants_server(tmp_path / "one", ScriptedBackend(["Hello."])) as server:
        beta = server.client.beta
        assistant = beta.assistants.create(model="scripted", name="x")
        thread = beta.threads.create(messages=[{"role": "user", "content": "hi"}])
        beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
        write_export(server.running.store, tmp_path / "out")
    other = Store.open(f"sqlite:///{tmp_path / 'two.db'}", tmp_path / "two")

    imported = read_export(other, tmp_path / "out")
    write_export(other, tmp_path / "again")
    other.close()

    assert imported.faults == []
    assert (imported.messages, imported.runs, imported.steps) == (2, 1, 1)
    assert contents(tmp_path / "again") == contents(tmp_path / "out")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a JSON object"),
        (dump({**THREAD, "export_schema": "v0"}), "export_schema"),
        (dump({**THREAD, "thread": {"id": "../../etc/passwd", "created_at": 1}}), "thread.id"),
        (dump({**THREAD, "messages": [{**THREAD["messages"][0], "created_at": "now"}]}), r"messages\[0\].created_at"),
        (dump({**THREAD, "runs": [{**RUN, "steps": 5}]}), r"runs\[0\].steps"),
        ("[" * 100_000, "is not JSON"),
    ],
    ids=["cut", "array", "schema", "traversal", "time", "steps", "deep"],
)
def test_a_faulty_file_is_named_and_the_others_are_imported(store, folder, text, place):
    (folder / "threads" / "thread_bad.json").write_text(text)

    imported = read_export(store, folder)

    assert imported.threads == 1
    assert len(imported.faults) == 1
    assert "thread_bad.json" in str(imported.faults[0])
    assert re.search(place, str(imported.faults[0]))


def test_another_projects_ids_are_not_taken_over(store, folder):
    read_export(store, folder, project="a")

    imported = read_export(store, folder, project="b")

    assert imported.threads == imported.assistants == 0
    assert "another project" in str(imported.faults[0])


def test_a_folder_without_an_export_is_an_error(store, tmp_path):
    with pytest.raises(DataError, match="holds no export"):
        read_export(store, tmp_path)


def test_the_command_line_imports_and_exports(folder, tmp_path, monkeypatch):
    from hypotez.cli import app

    monkeypatch.setenv("HYPOTEZ_HOME", str(tmp_path / "home"))
    brought = CliRunner().invoke(app, ["import", "assistants", str(folder)])
    taken = CliRunner().invoke(app, ["export", str(tmp_path / "out")])

    assert brought.exit_code == taken.exit_code == 0, brought.output + taken.output
    assert "1 threads, 3 messages" in brought.output
    assert contents(tmp_path / "out") == contents(folder)
