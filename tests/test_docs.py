"""What the docs say is what the code does: generated parts are fresh, nothing is forgotten, every example runs."""

import ast
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from scripts.docs import fields, pages, walk
from typer.testing import CliRunner

from hypotez import errors
from hypotez.cli import app
from hypotez.settings import Settings

ROOT = Path(__file__).parents[1]
COMMANDS = dict(walk(typer.main.get_command(app), "hypotez"))
SERVER = "http://127.0.0.1:8000/v1"


def blocks(language: str) -> Iterator[tuple[str, str]]:
    """``(name, text)`` of every fenced block in that language."""
    for page in pages():
        for number, text in enumerate(re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL), 1):
            yield f"{page.relative_to(ROOT)}#{number}", text


def shell_lines() -> Iterator[tuple[str, str]]:
    """Every ``hypotez ...`` line of the docs and of the commands' own examples, comments cut off."""
    for name, text in blocks("sh"):
        for line in text.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if "hypotez" in words and "pip" not in words:
                yield name, shlex.join(words[words.index("hypotez") + 1 :])
    for path, command in COMMANDS.items():
        for example in re.findall(r"^\s*Example: hypotez (.*)$", command.help or "", re.MULTILINE):
            yield path, example


def test_generated_parts_are_fresh():
    done = subprocess.run([sys.executable, "scripts/docs.py", "--check"], cwd=ROOT, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_and_option_explains_itself(path: str):
    silent = [p.name for p in COMMANDS[path].params if not p.help and not getattr(p, "hidden", False)]

    assert COMMANDS[path].help, f"{path} has no help"
    assert not silent, f"{path}: {silent} have no help"
    assert f"`{path}" in (ROOT / "docs/cli.md").read_text()


def test_every_setting_has_a_sentence():
    silent = [name for name, _, _, text in fields(Settings) if not text.endswith(".")]

    assert not silent


def test_every_error_stands_in_the_drawn_tree():
    tree = ast.parse(Path(errors.__file__).read_text())
    classes = [c.name for c in tree.body if isinstance(c, ast.ClassDef) and issubclass(vars(errors)[c.name], Exception)]

    missing = [name for name in classes if not re.search(rf"\b{name}\b", (ROOT / "docs/errors.md").read_text())]

    assert not missing


def dependencies(*extras: str) -> list[str]:
    """Names of what the package asks for, with these extras (all of them when none is named)."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(line for extra in extras or optional for line in optional[extra])]
    names = [re.split("[^A-Za-z0-9-]", line)[0].lower() for line in wanted]
    return [name for name in names if name != "hypotez"]  # an extra may bring another one


def test_every_dependency_says_why():
    page = (ROOT / "docs/dependencies.md").read_text().lower()

    silent = [name for name in dependencies() if not re.search(rf"\b{name}\b", page)]

    assert not silent


def test_every_dependency_is_pinned():
    pins = (ROOT / "constraints.txt").read_text().lower()

    loose = [name for name in dependencies("local", "test") if f"\n{name}==" not in pins]

    assert not loose


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path):
    links = re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", page.read_text())

    broken = [link for link in links if not (page.parent / link).exists()]

    assert not broken


@pytest.mark.parametrize(("where", "line"), list(shell_lines()), ids=lambda value: value)
def test_shell_examples_are_commands_that_exist(where: str, line: str):
    result = CliRunner().invoke(app, [*shlex.split(line), "--help"])

    assert result.exit_code == 0, f"{where}: hypotez {line}\n{result.output}"


@pytest.fixture
def somewhere(tmp_path: Path) -> dict[str, str]:
    """The environment of a newcomer: an empty home, the examples at hand."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "HYPOTEZ_"))}
    return {**kept, "HYPOTEZ_HOME": str(tmp_path / "home"), "PWD": str(tmp_path)}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("where", "code"), list(blocks("python")), ids=lambda value: value if "#" in value[:40] else ""
)
def test_python_examples_run(where: str, code: str, somewhere: dict[str, str]):
    serving = None
    if SERVER in code:
        command = [sys.executable, "-m", "hypotez", "serve", "--port", "0"]
        serving = subprocess.Popen(command, env=somewhere, stdout=subprocess.PIPE, text=True)
        code = code.replace(SERVER, address(serving))

    try:
        done = subprocess.run(
            [sys.executable, "-c", code], env=somewhere, cwd=somewhere["PWD"], capture_output=True, text=True
        )
    finally:
        if serving:
            serving.terminate()
            serving.wait()

    assert done.returncode == 0, f"{where}\n{done.stdout}{done.stderr}"
    assert done.stdout.strip()


def address(serving: "subprocess.Popen[str]") -> str:
    """The address the server prints when it is ready."""
    assert serving.stdout
    for line in serving.stdout:
        if found := re.search(r"http://\S+?/v1", line):
            return found[0]
    raise AssertionError("the server ended without saying where it listens")
