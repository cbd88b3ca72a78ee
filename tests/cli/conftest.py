"""The command line as a user meets it: real processes, a real server, an empty home."""

import os
import re
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hypotez.cli import app

HYPOTEZ = [sys.executable, "-m", "hypotez"]
SHOP = Path(__file__).parents[2] / "examples" / "shop.csv"


@dataclass
class Terminal:
    """Runs ``hypotez ...`` in a folder of its own, with an environment in which nothing is configured."""

    folder: Path
    home: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def env(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "HYPOTEZ_"))}
        return {**kept, "HYPOTEZ_HOME": str(self.home), "OMP_NUM_THREADS": "1", **self.variables}

    def __call__(self, *arguments: object, text: str = "") -> "subprocess.CompletedProcess[str]":
        command = [*HYPOTEZ, *map(str, arguments)]
        return subprocess.run(command, env=self.env, cwd=self.folder, input=text, capture_output=True, text=True)

    def start(self, *arguments: object, before: Callable[[], None] | None = None) -> "subprocess.Popen[str]":
        """Begin and return at once; the process is the first of a group of its own, as under a shell."""
        command = [sys.executable, "-u", *HYPOTEZ[1:], *map(str, arguments)]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command,
            env=self.env,
            cwd=self.folder,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            text=True,
            preexec_fn=before,
            process_group=0,
        )


def address(serving: "subprocess.Popen[str]") -> str:
    """The address a server prints when it is ready."""
    assert serving.stdout
    for line in serving.stdout:
        if found := re.search(r"http://\S+?/v1", line):
            return found[0]
    raise AssertionError(serving.stderr and serving.stderr.read())


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One data folder for all tests of this room."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def hypotez(tmp_path: Path, home: Path) -> Terminal:
    """The command, starting its own server."""
    return Terminal(tmp_path, home)


@pytest.fixture(scope="session")
def url(home: Path) -> Iterator[str]:
    """A server that runs for the whole session, on the same data folder."""
    serving = Terminal(home, home).start("serve", "--port", "0")
    try:
        yield address(serving)
    finally:
        serving.terminate()
        serving.communicate()


@dataclass
class Inside:
    """Runs ``hypotez --base-url ...`` inside this process: quick, because nothing is imported twice.

    Without a ``url`` it is a command on the data folder itself.
    """

    home: Path
    url: str

    def __call__(self, *arguments: object, text: str = "") -> "subprocess.CompletedProcess[str]":
        command = [*(["--base-url", self.url] if self.url else []), *map(str, arguments)]
        result = CliRunner().invoke(app, command, input=text)
        error = result.exception if not isinstance(result.exception, SystemExit) else None
        trace = "".join(traceback.format_exception(error)) if error else ""  # what a terminal would show
        return subprocess.CompletedProcess(command, result.exit_code, result.stdout, result.stderr + trace)


@pytest.fixture
def client(tmp_path: Path, home: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Inside:
    """The command as a client of that server."""
    for name in [name for name in os.environ if name.startswith(("OPENAI_", "HYPOTEZ_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HYPOTEZ_HOME", str(home))
    monkeypatch.chdir(tmp_path)
    return Inside(home, url)


def last_line(text: str) -> str:
    return text.strip().splitlines()[-1] if text.strip() else ""
