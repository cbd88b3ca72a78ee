"""``hypotez export``: a model as other programs load it, and assistants and threads as before."""

import json

import pytest
from tests.cli.conftest import Inside, Terminal, last_line

from hypotez.nn.adapters import save_adapter
from hypotez.nn.load import load
from hypotez.nn.lora import attach, initialise, loras
from hypotez.pocket import FOLDER
from hypotez.store import Store

TUNED = "ft:pocket:personal:shop:exported"


@pytest.fixture(scope="module")
def tuned(home) -> str:
    """A tuned model in the data folder, as a finished job leaves it."""
    folder = home / "models" / "exported"
    decoder = load(FOLDER)
    attach(decoder, 2, ["q_proj"])
    initialise(decoder, 0, 2, 4.0, seed=1)
    for lora in loras(decoder):
        for b in lora.b:
            b.data.fill_(0.01)
    save_adapter(decoder, 0, folder, str(FOLDER))
    store = Store.open(f"sqlite:///{home / 'hypotez.db'}", home)
    with store.write() as tx:
        private = {"root": "pocket", "folder": str(FOLDER), "path": str(folder), "full": False}
        tx.documents.create("model", {"id": TUNED, "object": "model"}, project="default", private=private)
    store.close()
    return TUNED


@pytest.fixture
def export(client):
    """``hypotez export ...`` on the data folder of the running server."""
    on_the_folder = Inside(client.home, "")
    return lambda *arguments: on_the_folder("export", *arguments)


def test_a_tuned_model_is_written_in_each_form(export, tuned, tmp_path):
    forms = {"--peft": "adapter_model.safetensors", "--merged": "model.safetensors", "--gguf": ""}

    for form, file in forms.items():
        if form == "--gguf":
            pytest.importorskip("gguf")
        said = export(tuned, tmp_path / form[2:], form)

        assert said.returncode == 0, said.stderr
        assert last_line(said.stdout) == str(tmp_path / form[2:])
        assert (tmp_path / form[2:] / file).is_file()


def test_the_place_is_named_after_the_model_when_none_is_given(export, tuned, tmp_path):
    said = export(tuned, "--peft", "--json")

    assert json.loads(said.stdout)["path"] == "ft-pocket-personal-shop-exported"
    assert (tmp_path / "ft-pocket-personal-shop-exported" / "tokenizer.json").is_file()


def test_a_base_is_exported_merged_and_its_missing_adapter_said(export, tmp_path):
    assert export("pocket", tmp_path / "pocket", "--merged", "--type", "f16").returncode == 0
    assert (tmp_path / "pocket" / "config.json").is_file()

    said = export("pocket", tmp_path / "adapter", "--peft")

    assert said.returncode == 1
    assert "has no adapter" in said.stderr
    assert "--merged" in said.stderr


def test_a_model_that_is_not_there_is_named(export):
    said = export("ft:pocket:personal:shop:never", "--merged")

    assert said.returncode == 1
    assert "The model `ft:pocket:personal:shop:never` does not exist" in said.stderr


def test_two_forms_at_once_and_none_are_mistakes_in_the_command(export, tuned):
    assert export(tuned, "--peft", "--gguf").returncode == 2

    said = export("backup")

    assert said.returncode == 2
    assert "--gguf" in said.stderr


def test_what_exists_is_not_overwritten(export, tuned, tmp_path):
    (tmp_path / "taken").mkdir()

    said = export(tuned, tmp_path / "taken", "--merged")

    assert said.returncode == 1
    assert "exists already" in said.stderr


@pytest.mark.parametrize("command", [["assistants", "./backup"], ["./backup"]])
def test_assistants_and_threads_are_exported_by_word_and_by_folder(command, export, tmp_path):
    said = export(*command)

    assert said.returncode == 0, said.stderr
    assert (tmp_path / "backup" / "assistants.json").is_file()


def test_help_needs_no_torch(hypotez: Terminal):
    assert "--gguf" in hypotez("export", "--help").stdout
