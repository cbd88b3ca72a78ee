"""The dialogue file: valid at every instant, whole after a kill, cheap however long."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from hypotez.dialogue.log import DialogueLog
from hypotez.errors import StorageError


def entries(n: int, start: int = 0) -> list[dict[str, object]]:
    return [{"role": "user", "content": f"сообщение {i}"} for i in range(start, start + n)]


def read(path: Path) -> list[dict[str, object]]:
    return json.loads(path.read_text("utf-8"))


def test_every_save_leaves_a_complete_file_that_people_can_read(tmp_path: Path):
    log, said = DialogueLog(tmp_path / "d.json"), []

    for i in range(25):
        said += entries(1, i)
        log.save(said)
        assert read(log.path) == said

    assert "сообщение 24" in log.path.read_text("utf-8")
    assert log.path.read_text("utf-8").startswith('[\n  {\n    "role": "user",')


def test_nothing_is_created_before_the_first_message_and_nothing_hidden_stays_after_close(tmp_path: Path):
    log = DialogueLog(tmp_path / "AI" / "d.json")
    assert list(tmp_path.iterdir()) == []

    log.save(entries(3))
    log.close()
    log.close()

    assert [p.name for p in (tmp_path / "AI").iterdir()] == ["d.json"]


def test_an_empty_dialogue_is_an_empty_list(tmp_path: Path):
    log = DialogueLog(tmp_path / "d.json")

    log.save([])
    assert read(log.path) == []

    log.save(entries(2))
    assert read(log.path) == entries(2)


def test_changed_and_removed_entries_are_written_again(tmp_path: Path):
    log, said = DialogueLog(tmp_path / "d.json"), entries(5)
    log.save(said)

    said[1]["mark"] = "negative"
    log.save(said, changed=True)
    assert read(log.path) == said
    log.save(said[:2])
    assert read(log.path) == said[:2]
    log.save([*said[:2], *entries(3, 7)])
    assert read(log.path) == [*said[:2], *entries(3, 7)]


def test_a_saved_dialogue_goes_on_where_it_stopped(tmp_path: Path):
    log = DialogueLog(tmp_path / "d.json")
    log.save(entries(3))
    log.close()

    again = DialogueLog(tmp_path / "d.json")
    said = again.load()
    assert said == entries(3)
    again.save([*said, *entries(1, 3)])

    assert read(again.path) == entries(4)


@pytest.mark.parametrize("cut", [1, 2, 3, 10, 40, 61])
def test_a_torn_file_keeps_its_whole_entries_and_the_original_beside_it(tmp_path: Path, cut: int):
    path = tmp_path / "d.json"
    whole = json.dumps(entries(4), ensure_ascii=False, indent=2).encode() + b"\n"
    path.write_bytes(whole[:-cut])

    kept = DialogueLog(path).load()

    assert kept == entries(4)[: len(kept)]
    assert len(kept) >= 3 - cut // 60
    assert read(path) == kept
    if cut > 1:  # without the last newline it is still whole
        assert path.with_name("d.json.broken").read_bytes() == whole[:-cut]


@pytest.mark.parametrize("text", ['{"name": "package"}', "hello", "[1, 2]"])
def test_a_file_that_is_no_dialogue_is_refused_and_left_alone(tmp_path: Path, text: str):
    path = tmp_path / "package.json"
    path.write_text(text)

    with pytest.raises(StorageError, match="is not a dialogue"):
        DialogueLog(path).load()

    assert path.read_text() == text


def test_two_writers_of_one_path_are_told_apart(tmp_path: Path):
    first = DialogueLog(tmp_path / "d.json")
    first.save(entries(2))

    with pytest.raises(StorageError, match="another process is writing this dialogue"):
        DialogueLog(tmp_path / "d.json").save(entries(1))

    assert read(first.path) == entries(2)
    first.close()
    DialogueLog(tmp_path / "d.json").save(entries(1))
    assert read(first.path) == entries(1)


def test_text_that_is_no_utf8_is_kept_as_an_escape(tmp_path: Path):
    log = DialogueLog(tmp_path / "d.json")

    log.save([{"role": "user", "content": "half \ud83d of a pair"}])

    assert read(log.path) == [{"role": "user", "content": "half \ud83d of a pair"}]


def test_a_folder_removed_in_between_is_made_again_with_everything_said(tmp_path: Path):
    log = DialogueLog(tmp_path / "AI" / "d.json")
    log.save(entries(3))
    for path in (tmp_path / "AI").iterdir():
        path.unlink()
    (tmp_path / "AI").rmdir()

    log.save(entries(4))

    assert read(log.path) == entries(4)


def test_a_full_disk_is_an_error_loses_nothing_and_is_made_good_later(tmp_path: Path):
    code = f"""
import json, resource, signal
from hypotez.dialogue.log import DialogueLog
from hypotez.errors import StorageError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
log, said, failed = DialogueLog({str(tmp_path / "d.json")!r}), [], 0
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
for i in range(40):
    said.append({{"role": "user", "content": "x" * 50, "n": i}})
    try:
        log.save(said)
        whole = i + 1
    except StorageError as exc:
        failed += 1
        message = str(exc)
    assert len(json.load(open(log.path))) == whole
assert failed > 20 and "could not be saved: File too large" in message, message
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.save(said)
assert json.load(open(log.path)) == said
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


TALK = """
import sys
from hypotez.dialogue.log import DialogueLog
log = DialogueLog(sys.argv[1])
said = log.load()
print("ready", flush=True)
size = int(sys.argv[2])
while True:
    said.append({"role": "user", "content": "да" * size, "n": len(said)})
    log.save(said)
    print(len(said), flush=True)
"""


@pytest.mark.timeout(600)
def test_a_hundred_kills_leave_a_hundred_whole_files(tmp_path: Path):
    """Entries of 12 KB, so that a write spans pages, where a kill may cut it."""
    path, seed = tmp_path / "d.json", random.Random(7)
    longest = 0
    for _ in range(100):
        child = subprocess.Popen(
            [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{TALK}", str(path), "3000"],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        time.sleep(seed.uniform(0, 0.006))
        os.kill(child.pid, signal.SIGKILL)
        reported = child.stdout.read().split()
        child.wait()

        saved = read(path) if path.exists() else []
        assert [entry["n"] for entry in saved] == list(range(len(saved)))
        if reported:
            assert len(saved) >= int(reported[-1])
        longest = max(longest, len(saved))
        if len(saved) > 300:
            path.unlink()
    assert longest > 20


def test_copies_left_by_a_kill_are_swept_by_the_next_log(tmp_path: Path):
    for side in ("a", "b"):
        left = tmp_path / f".old.json.{side}"
        left.write_text("[")
        os.utime(left, (time.time() - 3600, time.time() - 3600))

    log = DialogueLog(tmp_path / "new.json")
    log.save(entries(1))

    assert not list(tmp_path.glob(".old.json.*"))
    assert read(log.path) == entries(1)


def test_the_bytes_written_per_message_do_not_grow_with_the_dialogue(tmp_path: Path):
    """The kernel's own count, so that no clock decides."""

    def written() -> int:
        return int(next(line.split()[1] for line in Path("/proc/self/io").read_text().splitlines() if "wchar" in line))

    log, said, cost = DialogueLog(tmp_path / "d.json"), [], []
    for i in range(2000):
        said.append({"role": "user", "content": "x" * 100, "n": 10000 + i})
        before = written()
        log.save(said)
        cost.append(written() - before)

    assert cost[1999] == cost[100]


def test_threads_that_save_at_once_lose_nothing(tmp_path: Path):
    log, said = DialogueLog(tmp_path / "d.json"), []

    def talk(number: int) -> None:
        for i in range(50):
            said.extend(entries(2, 100 * number + i))
            log.save(said)

    threads = [threading.Thread(target=talk, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(said) == 400
    assert read(log.path) == said
