"""Write what the code knows into the docs: commands, settings, errors, the picture of the house.

Each generated part stands between ``<!-- printed: NAME -->`` and ``<!-- end -->`` in a Markdown file; everything
around it is written by hand. ``--check`` writes nothing and fails when a part is stale.
"""

import ast
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel, SecretStr
from pydantic_core import PydanticUndefined

from hypotez import errors
from hypotez.cli import app
from hypotez.settings import Settings, Upstream

ROOT = Path(__file__).parents[1]
PART = re.compile(r"(<!-- printed: (?P<name>\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def commands() -> str:
    """Every command with its arguments and options."""
    return "\n".join(_command(path, command) for path, command in walk(typer.main.get_command(app), "hypotez"))


def walk(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The command and everything below it, as typed: ``("hypotez jobs list", ...)``."""
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        if not child.hidden:
            yield from walk(child, f"{path} {name}")


def _command(path: str, command: Any) -> str:
    shown = [p for p in command.params if p.name not in ("help", "install_completion", "show_completion")]
    arguments = " ".join(_metavar(p) for p in shown if p.param_type_name == "argument")
    usage = " ".join(filter(None, [path, arguments, "COMMAND" if getattr(command, "commands", {}) else ""]))
    lines = [f"{'#' * min(4, 2 + path.count(' '))} `{usage}`", "", *_paragraphs(command.help or ""), ""]
    rows = [_option(p) for p in shown if p.help and not getattr(p, "hidden", False)]
    if rows:
        lines += ["| | |", "|---|---|", *rows, ""]
    return "\n".join(lines)


def _paragraphs(text: str) -> list[str]:
    return [line.strip() for line in text.replace("\b\n", "").splitlines()]


def _metavar(argument: Any) -> str:
    name = argument.name.upper() + ("..." if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


def _option(param: Any) -> str:
    if param.param_type_name == "argument":
        spelling = f"`{param.name.upper()}`"
    else:
        spelling = ", ".join(f"`{opt}`" for opt in [*param.opts, *param.secondary_opts])
    plain = isinstance(param.default, (str, int, float)) and not isinstance(param.default, bool)
    default = f" Default: `{param.default}`." if plain and param.default != "" else ""
    return f"| {spelling} | {_cell(param.help)}{default} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def settings() -> str:
    """Every setting: its name in ``hypotez.toml``, its variable, its default, its sentence."""
    rows = [f"| `{name}` | `{variable}` | {default} | {text} |" for name, variable, default, text in fields(Settings)]
    return "\n".join(["| setting | variable | default | |", "|---|---|---|---|", *rows]) + "\n"


def upstream() -> str:
    """The fields of one upstream."""
    rows = [f"| `{name}` | {default} | {text} |" for name, _, default, text in fields(Upstream)]
    return "\n".join(["| field | default | |", "|---|---|---|", *rows]) + "\n"


def fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    """``(dotted name, variable, default, sentence)`` of every field, sections opened up."""
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from fields(inner, f"{prefix}{name}.")
            continue
        variable = field.alias or "HYPOTEZ_" + f"{prefix}{name}".replace(".", "__").upper()
        yield f"{prefix}{name}", variable, _default(name, field), _cell(field.description or "")


def _default(name: str, field: Any) -> str:
    if name == "home":  # differs from machine to machine
        return "the user's data folder"
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined or value is None or isinstance(value, SecretStr) or value in ([], {}):
        return ""
    return f"`{value}`"


def error_tree() -> str:
    """The tree as its module draws it."""
    tree = "\n\n".join((errors.__doc__ or "").split("\n\n")[1:2])
    return "```text\n" + "\n".join(line[4:] for line in tree.splitlines()) + "\n```\n"


def house() -> str:
    """The rooms, each with the first sentence of its own docstring."""
    source = ROOT / "src" / "hypotez"
    rooms = sorted(p for p in source.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists())
    rows = [(f"{r.name}/" if r.is_dir() else r.name, _sentence(r)) for r in rooms if not r.name.startswith("__")]
    width = max(len(name) for name, _ in rows)
    return "```text\n" + "\n".join(f"{name:<{width}}  {sentence}".rstrip() for name, sentence in rows) + "\n```\n"


def _sentence(room: Path) -> str:
    file = room / "__init__.py" if room.is_dir() else room
    doc = ast.get_docstring(ast.parse(file.read_text())) or ""
    first = " ".join(doc.split("\n\n")[0].split())
    return re.split(r"(?<=\.)\s", first, maxsplit=1)[0].rstrip(".").replace("``", "")


PARTS: dict[str, Callable[[], str]] = {
    "commands": commands,
    "settings": settings,
    "upstream": upstream,
    "errors": error_tree,
    "house": house,
}


def rewrite(text: str) -> str:
    """``text`` with every generated part printed anew."""
    return PART.sub(lambda m: f"{m[1]}{PARTS[m['name']]()}{m[3]}", text)


def pages() -> list[Path]:
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def main() -> None:
    stale = [page for page in pages() if rewrite(page.read_text()) != page.read_text()]
    if "--check" in sys.argv:
        names = ", ".join(str(page.relative_to(ROOT)) for page in stale)
        sys.exit(f"stale: {names}; run `make docs`" if stale else 0)
    for page in stale:
        page.write_text(rewrite(page.read_text()))


if __name__ == "__main__":
    main()
