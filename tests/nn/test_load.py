"""Model folders: shards, faults, dtypes and names."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from hypotez.errors import InvalidRequest, ModelNotFound
from hypotez.nn.config import from_hf
from hypotez.nn.load import find, load, save


def test_shards_and_their_index_are_read(decoder, tmp_path):
    save(decoder, tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    halves = {"a.safetensors": list(tensors)[::2], "b.safetensors": list(tensors)[1::2]}
    for file, held in halves.items():
        save_file({name: tensors[name] for name in held}, tmp_path / file)
    (tmp_path / "model.safetensors").unlink()
    index = {"weight_map": {name: file for file, held in halves.items() for name in held}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))

    again = load(tmp_path)

    for name, parameter in decoder.named_parameters():
        assert torch.equal(again.get_parameter(name), parameter), name


def test_names_are_hugging_faces(decoder, tmp_path):
    save(decoder, tmp_path)

    held = load_file(tmp_path / "model.safetensors")

    assert "model.layers.1.self_attn.k_proj.weight" in held
    assert held["model.layers.0.mlp.up_proj.weight"].shape == (48, 32)
    assert {"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"} <= set(held)


def test_dtype_is_the_one_asked_for_and_rope_stays_exact(decoder, tmp_path):
    save(decoder, tmp_path)

    half = load(tmp_path, dtype=torch.bfloat16)

    assert {p.dtype for p in half.parameters()} == {torch.bfloat16}
    cos, _ = half._rope(torch.tensor([40000]), torch.float32)
    assert torch.equal(cos, decoder._rope(torch.tensor([40000]), torch.float32)[0])


def test_torchs_compiler_is_not_imported_to_load_a_model(decoder, tmp_path):
    save(decoder, tmp_path)
    code = "import sys; from hypotez.nn.load import load; load(sys.argv[1]); sys.exit('torch._dynamo' in sys.modules)"

    ended = subprocess.run([sys.executable, "-c", code, tmp_path], check=False)

    assert ended.returncode == 0


def test_two_models_of_one_seed_are_equal(config):
    from hypotez.nn.decoder import Decoder

    first, second = Decoder(config), Decoder(config)
    first.reset(seed=3)
    second.reset(seed=3)

    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_missing_weights_are_named(decoder, tmp_path):
    save(decoder, tmp_path)
    held = load_file(tmp_path / "model.safetensors")
    del held["model.layers.1.mlp.up_proj.weight"]
    save_file(held, tmp_path / "model.safetensors")

    with pytest.raises(InvalidRequest, match=r"lack model.layers.1.mlp.up_proj.weight"):
        load(tmp_path)


def test_weights_of_another_shape_are_named(decoder, tmp_path):
    save(decoder, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"vocab_size": 70}))

    with pytest.raises(InvalidRequest, match=r"embed_tokens.weight has shape \[64, 32\], config.json calls for \[70"):
        load(tmp_path)


def test_a_folder_without_config_says_what_is_missing(tmp_path):
    with pytest.raises(InvalidRequest, match=r"config.json is missing"):
        load(tmp_path)


def test_a_broken_file_is_named(decoder, tmp_path):
    save(decoder, tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"not weights")

    with pytest.raises(InvalidRequest, match=r"model.safetensors cannot be read"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "mamba"}, "type 'mamba' are not built in"),
        ({"hidden_act": "relu6"}, "activation 'relu6'"),
        ({"rope_scaling": {"rope_type": "dynamic", "factor": 2}}, "type 'dynamic'"),
        ({"num_key_value_heads": 3}, "4 heads cannot share 3"),
    ],
)
def test_what_the_decoder_has_not_got_is_refused(config, change, message):
    with pytest.raises(InvalidRequest, match=message):
        from_hf(config.to_hf() | change)


def test_a_folder_is_found_as_it_is(tmp_path):
    assert find(str(tmp_path)) == tmp_path


def test_a_name_that_is_neither_folder_nor_repository_is_refused():
    with pytest.raises(ModelNotFound, match="nosuchmodel"):
        find("nosuchmodel")


def test_a_repository_that_cannot_be_reached_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)

    with pytest.raises(ModelNotFound) as caught:
        find("nobody/no-such-model-here")

    assert "cannot be reached" in (caught.value.hint or "")
