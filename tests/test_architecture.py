"""Who may import whom. The README's picture of the house, as a test."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = "hypotez"
SRC = Path(__file__).parents[1] / "src" / PACKAGE

PURE = {"errors", "spans"}  # whoever may import these two may be told about
CLASS_ROOMS = {"dialogue", "sentiment", "data", "images", "settings"}
MAY_IMPORT = {  # room -> rooms it may import; a room not named here may import nothing
    "spans": {"errors"},
    "settings": {"settings_faults", *PURE},
    "settings_faults": PURE,
    "backend": PURE,
    "wire": PURE,
    "store": {"wire", *PURE},
    "sentiment": PURE,
    "data": PURE,
    "dialogue": {"data", "sentiment", *PURE},
    "images": PURE,
    "text": PURE,
    "pocket": {"nn", "text", "training", *PURE},
    "nn": PURE,
    "export": {"nn", "text", *PURE},
    "progress": PURE,
    "training": {"nn", "text", "data", "backend", "progress", *PURE},
    "engine": {"nn", "text", "backend", *PURE},
    "grading": {"wire", *PURE},
    "worker": {"store", "wire", "backend", "data", "grading", "progress", *PURE},
    "server": {"worker", "store", "wire", "backend", "settings", "grading", *PURE},
    "transfer": {"worker", "store", *PURE},
    "upstream": {"backend", "settings", *PURE},
    "testing": {"backend", *PURE},
    "model": {*CLASS_ROOMS, "embedded", *PURE},
    # these assemble: they may see both halves
    "embedded": {
        "server",
        "worker",
        "store",
        "engine",
        "nn",
        "backend",
        "upstream",
        "pocket",
        "settings",
        "grading",
        *PURE,
    },
    "__main__": {"cli"},
    "cli": {"*"},
    "ui": {"*"},
    "demo": {"model", "settings", "cli", "pocket", *PURE},
}
ASSEMBLERS = {"cli", "ui", "embedded", "demo", "pocket"}
HEAVY = {"torch": {"nn", "training", "engine", "export", "pocket"}, "sqlalchemy": {"store"}, "fastapi": {"server"}}


def imported(path: Path) -> set[str]:
    """Full names of the modules the file imports, at any depth (a lazy import is an import)."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


def sources() -> list[Path]:
    return [path for path in sorted(SRC.rglob("*.py")) if path.parent != SRC or path.stem not in ("__init__",)]


def room_of(path: Path) -> str:
    return path.relative_to(SRC).parts[0].removesuffix(".py")


ROOMS = {room_of(path) for path in sources()} - {"__main__"}


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(SRC)))
def test_rooms_import_only_their_neighbours(path: Path):
    room = room_of(path)
    allowed = MAY_IMPORT.get(room, set())
    parts = [name.split(".") for name in imported(path) if name.startswith(PACKAGE + ".")]

    strangers = {part[1] for part in parts if part[1] in ROOMS} - {room} - allowed

    assert "*" in allowed or not strangers, f"{path}: {room} may not import {sorted(strangers)}"


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(SRC)))
def test_torch_sql_and_http_stay_behind_their_walls(path: Path):
    room = room_of(path)
    roots = {name.split(".")[0] for name in imported(path)}

    crossed = [heavy for heavy, homes in HEAVY.items() if heavy in roots and room not in homes]

    assert not crossed or room in ASSEMBLERS, f"{path} imports {crossed}"


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(SRC)))
def test_other_packages_are_used_by_their_public_names(path: Path):
    parts = [name.split(".") for name in imported(path) if not name.startswith(PACKAGE)]

    private = [".".join(part) for part in parts for word in part if word.startswith("_") and not word.startswith("__")]

    assert not private, f"{path} imports {private}, which the next release may take away"


def test_every_room_is_drawn_in_the_picture():
    assert ROOMS <= set(MAY_IMPORT) | {"errors"}


def test_importing_the_package_imports_nothing_heavy():
    code = (
        "import sys, hypotez; print(sorted({'torch', 'openai', 'fastapi', 'numpy', 'sqlalchemy'} & set(sys.modules)))"
    )

    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert out.stdout.strip() == "[]"
