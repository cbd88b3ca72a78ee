"""What is wrong with a setting, in words: where it stands, the value, what may have been meant.

Knows the shape of settings from the class it is given, and the environment they were read from; decides nothing.
"""

import logging
import os
import re
import tomllib
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from hypotez.errors import SettingsError

PREFIX = "HYPOTEZ_"


def fault(settings: type[BaseModel], error: ErrorDetails, files: Sequence[Path]) -> str:
    """Where it stands, the value unless it may be a secret, what is wrong, and what may have been meant."""
    path = [str(part) for part in error["loc"]]
    variable = _variable_of(path)
    direct = variable in (_variable(path), path[-1])
    name = variable if direct else f"{'.'.join(path)} in {variable}"
    if variable is None:
        there = [str(file.absolute()) for file in files if file.is_file()]
        name = f"{'.'.join(path)}{' in ' + ' or '.join(there) if there else ''}"
    if error["type"] == "extra_forbidden":
        near = _nearest(path[-1], _names(settings, error["loc"][:-1]))
        meant = near and (_variable([*path[:-1], near]) if direct else ".".join([*path[:-1], near]))
        return f"{name}: there is no such setting" + (f"; did you mean {meant}?" if meant else "")
    given, what = error["input"], error["msg"].removeprefix("Value error, ")
    told = isinstance(given, str | int | float) and not re.search("key|secret|database", name or "", re.IGNORECASE)
    return f"{name}{f' is {given!r}' if told else ''}: {what}"


def unreadable_variable(error: Exception) -> SettingsError:
    """A variable that should hold JSON and does not; the reader names its field in a sentence only."""
    field = re.search(r'field "(\w+)"', str(error))
    name = PREFIX + field[1].upper() if field else "A variable"
    return SettingsError(f"{name} is not valid JSON: {error.__cause__ or error}.")


def unreadable_file(error: Exception, files: Sequence[Path]) -> SettingsError:
    """Says which file it is, for the reader of TOML does not."""
    for file in filter(Path.is_file, files):
        content, where = file.read_bytes(), file.absolute()
        if content.startswith(b"\xef\xbb\xbf"):
            return SettingsError(f"{where} begins with a byte order mark; save it as UTF-8 without one.")
        try:
            tomllib.loads(content.decode())
        except UnicodeDecodeError as exc:
            line = content[: exc.start].count(b"\n") + 1
            return SettingsError(f"{where}, line {line}, is not UTF-8; save the file in that encoding.")
        except tomllib.TOMLDecodeError as exc:
            return SettingsError(f"{where} is not valid TOML: {exc}.")
    return SettingsError(f"hypotez.toml is not valid TOML: {error}.")


def look_for_strangers(settings: type[BaseModel]) -> None:
    """Raise for a variable of no section, warn of one that is nearly a setting.

    Others are left alone: an orchestrator sets ``HYPOTEZ_PORT_8000_TCP`` for a service of that name.
    """
    known = {_variable(path): path for path in _paths(settings)}
    flat = {name.replace("__", "_"): name for name in known}
    for name in sorted(os.environ):
        section = name.removeprefix(PREFIX).partition("__")[0].lower()
        if not name.startswith(PREFIX) or section in settings.model_fields:
            continue
        near = _nearest(name, known, 0.85) or flat.get(name)
        if "__" in name:
            meant = f"; did you mean {near}?" if near else ""
            raise SettingsError(f"Wrong setting: {name}: there is no such setting{meant}")
        if near and name != PREFIX + "BASE_URL":
            _warn_once(f"{name} is no setting; did you mean {near}?")


def _variable_of(path: Sequence[str]) -> str | None:
    """The variable that set it, if one did: its own, a section's as JSON, or OpenAI's."""
    names = [path[0].upper(), *(_variable(path[:length]) for length in range(len(path), 0, -1))]
    return next((name for name in names if name.startswith((PREFIX, "OPENAI_")) and os.environ.get(name)), None)


def _variable(path: Sequence[str]) -> str:
    return PREFIX + "__".join(path).upper()


def _names(settings: type[BaseModel], path: Iterable[str | int]) -> list[str]:
    """The fields of the section at ``path``."""
    here: type[BaseModel] | None = settings
    for part in path:
        if isinstance(part, str) and here is not None:
            kind = here.model_fields[part].annotation if part in here.model_fields else None
            kinds = [kind, *get_args(kind)]  # a list of sections, or one
            here = next((one for one in kinds if isinstance(one, type) and issubclass(one, BaseModel)), None)
    return list(here.model_fields) if here is not None else []


def _nearest(name: str, known: Iterable[str], cutoff: float = 0.5) -> str | None:
    return next(iter(get_close_matches(name, list(known), n=1, cutoff=cutoff)), None)


def _paths(settings: type[BaseModel], before: tuple[str, ...] = ()) -> Iterable[tuple[str, ...]]:
    for name, field in settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _paths(field.annotation, (*before, name))
        else:
            yield (*before, name)


@cache
def _warn_once(text: str) -> None:
    logging.getLogger("hypotez.settings").warning("%s", text)
