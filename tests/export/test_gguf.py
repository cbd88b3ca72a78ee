"""GGUF files read back with the format's own package: every tensor, the shape, the vocabulary; and what is refused."""

import json
import sys
from pathlib import Path

import pytest
import torch
from tests.export.tuned import characters, family
from tests.nn.test_families import CASES

from hypotez import pocket
from hypotez.errors import Conflict, InvalidRequest, MissingExtra
from hypotez.export import write_gguf
from hypotez.export.folders import open_model
from hypotez.nn.load import save
from hypotez.nn.lora import detach, merge

gguf = pytest.importorskip("gguf")


def fields(reader) -> dict:
    """The header as plain values."""
    return {name: field.contents() for name, field in reader.fields.items()}


def tensors(reader) -> dict[str, torch.Tensor]:
    return {
        t.name: torch.tensor(gguf.quants.dequantize(t.data, t.tensor_type).reshape(tuple(reversed(t.shape.tolist()))))
        for t in reader.tensors
    }


def halves(tensor: torch.Tensor, heads: int) -> torch.Tensor:
    """Rows back from llama.cpp's neighbours to Hugging Face's halves."""
    return tensor.view(heads, -1, 2, *tensor.shape[1:]).transpose(1, 2).reshape(tensor.shape)


def test_every_tensor_of_the_tuned_model_is_the_merged_weight(adapter, tmp_path):
    from safetensors.torch import load_file

    decoder = open_model(str(pocket.FOLDER), adapter, torch.float32)
    merge(decoder, 0)
    detach(decoder)
    save(decoder, tmp_path / "merged")
    merged = load_file(tmp_path / "merged" / "model.safetensors")

    write_gguf(str(pocket.FOLDER), adapter, tmp_path / "tuned.gguf", "f32")

    written = tensors(gguf.GGUFReader(tmp_path / "tuned.gguf"))
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 6)
    assert len(written) == len(merged)
    for name, tensor in merged.items():
        found = written[names.get_name(name, try_suffixes=(".weight",))]
        turned = halves(found, 5) if "q_proj" in name or "k_proj" in name else found
        assert torch.equal(turned, tensor), name


def test_the_header_holds_all_that_llama_cpp_asks_for(adapter, tmp_path):
    write_gguf(str(pocket.FOLDER), adapter, tmp_path / "tuned.gguf", "f16", "ft:pocket:personal:shop:abc")

    told = fields(gguf.GGUFReader(tmp_path / "tuned.gguf"))

    config = json.loads((pocket.FOLDER / "config.json").read_text())
    assert told["general.architecture"] == "llama"
    assert told["general.name"] == "ft:pocket:personal:shop:abc"
    assert told["general.file_type"] == gguf.LlamaFileType.MOSTLY_F16
    assert told["llama.block_count"] == config["num_hidden_layers"]
    assert told["llama.context_length"] == config["max_position_embeddings"]
    assert told["llama.rope.dimension_count"] == told["llama.attention.key_length"] == config["head_dim"]
    assert told["tokenizer.ggml.model"] == "gpt2"
    assert told["tokenizer.ggml.pre"] == "smollm"
    assert len(told["tokenizer.ggml.tokens"]) == len(told["tokenizer.ggml.token_type"]) == config["vocab_size"]
    assert len(told["tokenizer.ggml.merges"]) == 3839
    assert told["tokenizer.ggml.tokens"][told["tokenizer.ggml.eos_token_id"]] == "<|im_end|>"
    assert told["tokenizer.ggml.tokens"][told["tokenizer.ggml.eot_token_id"]] == "<|endoftext|>"
    assert told["tokenizer.ggml.add_bos_token"] is False
    assert told["tokenizer.chat_template"] == (pocket.FOLDER / "chat_template.jinja").read_text()


@pytest.mark.parametrize(
    ("type", "kind", "error"), [("bf16", "BF16", 0.01), ("q8_0", "Q8_0", 0.01), ("f16", "F16", 1e-3)]
)
def test_smaller_types_are_as_close_as_they_can_be(type, kind, error, tmp_path):
    write_gguf(str(pocket.FOLDER), None, tmp_path / "exact.gguf", "f32")
    write_gguf(str(pocket.FOLDER), None, tmp_path / "small.gguf", type)

    exact, small = (gguf.GGUFReader(tmp_path / f"{name}.gguf") for name in ("exact", "small"))

    assert {t.tensor_type.name for t in small.tensors} == {kind, "F32"}  # vectors stay
    written = tensors(small)
    for name, tensor in tensors(exact).items():
        torch.testing.assert_close(written[name], tensor, rtol=0, atol=error * float(tensor.abs().max()))


def test_auto_keeps_the_type_of_the_base(tmp_path):
    write_gguf(str(pocket.FOLDER), None, tmp_path / "auto.gguf")

    assert fields(gguf.GGUFReader(tmp_path / "auto.gguf"))["general.file_type"] == gguf.LlamaFileType.MOSTLY_BF16


@pytest.mark.parametrize("case", CASES)
def test_every_family_has_a_place_for_each_of_its_tensors(case, tmp_path):
    base, adapter = family(case, tmp_path / "base", tmp_path / "adapter")

    noted = write_gguf(str(base), adapter, tmp_path / "model.gguf", "f32")

    written = tensors(gguf.GGUFReader(tmp_path / "model.gguf"))
    assert all(tensor.isfinite().all() for tensor in written.values())
    assert bool(noted) == (case in ("mistral-window", "qwen2-window", "phi3"))


def test_a_tokenizer_over_characters_has_scores_and_bytes(tmp_path):
    base, _ = family("gemma3", tmp_path / "base", tmp_path / "adapter")
    characters("gemma").save(str(base / "tokenizer.json"))

    write_gguf(str(base), None, tmp_path / "model.gguf", "f16")

    told = fields(gguf.GGUFReader(tmp_path / "model.gguf"))
    kinds = told["tokenizer.ggml.token_type"]
    assert told["tokenizer.ggml.model"] == "llama"
    assert kinds.count(gguf.TokenType.BYTE) == 256
    assert kinds[0] == gguf.TokenType.UNKNOWN
    assert len(told["tokenizer.ggml.scores"]) == 384


def test_a_tokenizer_that_llama_cpp_would_cut_otherwise_is_refused(tmp_path):
    base, _ = family("llama", tmp_path / "base", tmp_path / "adapter")
    given = json.loads((base / "tokenizer.json").read_text())
    given["pre_tokenizer"] = {"type": "Split", "pattern": {"Regex": "[a-z]+"}, "behavior": "Isolated", "invert": False}
    (base / "tokenizer.json").write_text(json.dumps(given))

    with pytest.raises(InvalidRequest, match=r"no name for: \[a-z\]\+") as caught:
        write_gguf(str(base), None, tmp_path / "model.gguf")

    assert "--merged" in caught.value.hint
    assert list(tmp_path.glob("*.gguf*")) == list(tmp_path.glob(".*")) == []  # nothing half written


def test_a_scaling_that_llama_cpp_has_no_rule_for_is_refused(tmp_path):
    base, _ = family("qwen3", tmp_path / "base", tmp_path / "adapter")
    config = json.loads((base / "config.json").read_text())
    config["rope_scaling"] = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                              "original_max_position_embeddings": 16}  # fmt: skip
    (base / "config.json").write_text(json.dumps(config))

    with pytest.raises(InvalidRequest, match="for Llama only, not for qwen3"):
        write_gguf(str(base), None, tmp_path / "model.gguf")


def test_a_type_that_is_none_is_named(tmp_path):
    with pytest.raises(InvalidRequest, match="'q4_k' here; choose auto, f32"):
        write_gguf(str(pocket.FOLDER), None, tmp_path / "model.gguf", "q4_k")


def test_a_file_that_is_there_is_not_overwritten(tmp_path):
    (tmp_path / "model.gguf").write_text("mine")

    with pytest.raises(Conflict, match="exists already"):
        write_gguf(str(pocket.FOLDER), None, tmp_path / "model.gguf")

    assert (tmp_path / "model.gguf").read_text() == "mine"


def test_without_the_package_the_pip_command_is_named(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(sys, "path", [p for p in sys.path if "site-packages" not in p])
    monkeypatch.delitem(sys.modules, "gguf")

    with pytest.raises(MissingExtra, match=r"pip install 'hypotez\[export\]'"):
        write_gguf(str(pocket.FOLDER), None, tmp_path / "model.gguf")
