"""``hypotez export``: a model in the files that other programs load, or assistants and threads. Works on the store."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hypotez.cli import _print
from hypotez.cli._connect import Json, open_store
from hypotez.errors import ModelNotFound

if TYPE_CHECKING:
    from hypotez.backend import Source

THREADS = "assistants"


def export(
    what: Annotated[str, typer.Argument(help="A model's name (ft:..., a checkpoint, a base), or `assistants`.")],
    to: Annotated[
        Path | None, typer.Argument(help="Where to write; by default beside you, under the model's name.")
    ] = None,
    peft: Annotated[bool, typer.Option("--peft", help="The adapter alone, for PEFT, transformers and vLLM.")] = False,
    merged: Annotated[bool, typer.Option("--merged", help="Base and adapter as one, for transformers.")] = False,
    gguf: Annotated[bool, typer.Option("--gguf", help="One file for llama.cpp and what is built on it.")] = False,
    type: Annotated[
        str, typer.Option(help="Weights as f32, f16, bf16, for GGUF q8_0; auto: as the base has.")
    ] = "auto",
    project: Annotated[str, typer.Option(help="Project whose assistants and threads are exported.")] = "default",
    json: Json = False,
) -> None:
    """Export a model with --peft, --merged or --gguf; or assistants and threads, as `hypotez import` reads them.

    What was imported and not changed since is written the same to the byte. Nothing that exists is overwritten by a
    model.

    Example: hypotez export ft:pocket:personal:shop:9uJPbR69 shop.gguf --gguf --type q8_0

    Example: hypotez export assistants ./backup
    """
    chosen = [name for name, given in (("peft", peft), ("merged", merged), ("gguf", gguf)) if given]
    if len(chosen) > 1:
        raise typer.BadParameter(f"--{chosen[0]} and --{chosen[1]} are two exports; give one at a time.")
    if chosen:
        _export_model(what, to, chosen[0], type, json)
    elif what == THREADS or "/" in what or "\\" in what:
        folder = Path(what) if to is None and what != THREADS else to
        if folder is None:
            raise typer.BadParameter("Say where to: hypotez export assistants FOLDER.")
        _export_threads(folder, project, json)
    else:
        raise typer.BadParameter(
            f"Say in which form '{what}' is wanted: --peft, --merged or --gguf. "
            f"For assistants and threads: hypotez export assistants {what}"
        )


def _export_threads(folder: Path, project: str, json: bool) -> None:
    from hypotez.transfer import write_export

    with open_store() as store:
        exported = write_export(store, folder, project=project)
    if json:
        _print.as_json(asdict(exported))
    else:
        typer.echo(f"{exported.assistants} assistants, {exported.threads} threads in {folder}")


def _export_model(model: str, to: Path | None, form: str, type: str, json: bool) -> None:
    source = _source(model)
    from hypotez.export import write_gguf, write_merged, write_peft

    place = to or Path(_file_name(model) + (".gguf" if form == "gguf" else ""))
    notes: list[str] = []
    if form == "peft":
        write_peft(source.base, source.adapter, place)
    elif form == "merged":
        write_merged(source.base, source.adapter, place, type)
    else:
        notes = write_gguf(source.base, source.adapter, place, type, name=model)
    if json:
        _print.as_json({"model": model, "form": form, "path": str(place), "notes": notes})
        return
    typer.echo(str(place))
    for note in notes:
        _print.notice(note)


def _source(model: str) -> "Source":
    """Where the model lies: tuned here, configured, built in, or a folder or repository of anyone's."""
    from hypotez.backend import Card, Source
    from hypotez.embedded.local import Models, base_folders
    from hypotez.settings import Settings

    with open_store() as store:
        found = Models(store, base_folders(Settings.load())).source(model)
    if found is None and "/" not in model and not Path(model).is_dir():  # else a folder or a repository
        raise ModelNotFound(model, hint="See which there are: hypotez models.")
    return found or Source(model, None, Card(model))


def _file_name(model: str) -> str:
    """The model's name as a file's, without what some systems refuse in one."""
    return "".join(c if c.isalnum() or c in "._-" else "-" for c in model.rstrip("/").rpartition("/")[2])
