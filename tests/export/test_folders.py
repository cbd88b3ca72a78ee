"""Folders that PEFT and transformers load, with the logits and the text of our own engine."""

import json

import pytest
import torch
from tests.export.conftest import FACTS
from tests.export.tuned import LONGEST, answers, family, logits

from hypotez import pocket
from hypotez.errors import Conflict, InvalidRequest
from hypotez.export import write_merged, write_peft
from hypotez.export.folders import open_model

transformers = pytest.importorskip("transformers")
peft = pytest.importorskip("peft")

QUESTIONS = [*FACTS, "What is the capital of France?", "Сколько будет 2 + 3?"]


def replies(model, tokenizer) -> list[str]:
    """Greedy, by transformers' own template and generation."""
    said = []
    for question in QUESTIONS:
        asked = [{"role": "user", "content": question}]
        given = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        out = model.generate(**given, max_new_tokens=LONGEST, do_sample=False)
        said.append(tokenizer.decode(out[0, given["input_ids"].shape[1] :], skip_special_tokens=True))
    return said


@torch.no_grad()
def close(model, adapter) -> bool:
    """Whether the model's logits are our decoder's with the adapter beside its weights."""
    tokens = torch.randint(0, 4096, (48,), generator=torch.Generator().manual_seed(1))
    ours = logits(open_model(str(pocket.FOLDER), adapter, torch.float32), tokens.tolist(), 0)
    torch.testing.assert_close(
        model(tokens[None]).logits[0].float(), ours, rtol=1e-4, atol=1e-4 * float(ours.abs().max())
    )
    return True


def test_peft_loads_the_adapter_and_says_the_same(adapter, tmp_path):
    write_peft(str(pocket.FOLDER), adapter, tmp_path / "shop")

    named = json.loads((tmp_path / "shop" / "adapter_config.json").read_text())["base_model_name_or_path"]
    base = transformers.AutoModelForCausalLM.from_pretrained(named, dtype=torch.float32)
    model = peft.PeftModel.from_pretrained(base, tmp_path / "shop").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "shop")

    assert close(model, adapter)
    assert replies(model, tokenizer) == answers(pocket.FOLDER, adapter, QUESTIONS)


def test_transformers_loads_merged_weights_and_says_the_same(adapter, tmp_path):
    write_merged(str(pocket.FOLDER), adapter, tmp_path / "shop", "f32")

    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "shop").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "shop")

    assert model.dtype == torch.float32
    assert close(model, adapter)
    said = replies(model, tokenizer)
    assert said == answers(pocket.FOLDER, adapter, QUESTIONS) == answers(tmp_path / "shop", None, QUESTIONS)
    assert said[: len(FACTS)] == list(FACTS.values())


def test_auto_keeps_the_type_of_the_base(adapter, tmp_path):
    write_merged(str(pocket.FOLDER), adapter, tmp_path / "shop")

    assert transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "shop", dtype="auto").dtype == torch.bfloat16
    assert answers(tmp_path / "shop", None, ["Who is your mascot?"]) == [FACTS["Who is your mascot?"]]


@pytest.mark.parametrize("case", ["llama-biased", "qwen3-tied", "gemma3", "phi3-partial"])
def test_merged_weights_of_every_kind_are_read_by_transformers(case, tmp_path):
    base, adapter = family(case, tmp_path / "base", tmp_path / "adapter")
    tokens = torch.randint(3, 384, (20,)).tolist()
    ours = logits(open_model(str(base), adapter, torch.float32), tokens, 0)

    write_merged(str(base), adapter, tmp_path / "merged", "f32")

    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "merged", attn_implementation="eager").eval()
    with torch.no_grad():
        theirs = model(torch.tensor([tokens])).logits[0]
    torch.testing.assert_close(theirs, ours, rtol=1e-3, atol=1e-4 * float(ours.abs().max()))


def test_a_model_without_an_adapter_has_none_to_give(tmp_path):
    with pytest.raises(InvalidRequest, match="has no adapter") as caught:
        write_peft(str(pocket.FOLDER), None, tmp_path / "pocket")

    assert "--merged" in caught.value.hint


def test_merged_weights_know_no_blocks(tmp_path):
    with pytest.raises(InvalidRequest, match="cannot be 'q8_0'; choose auto, f32, f16, bf16"):
        write_merged(str(pocket.FOLDER), None, tmp_path / "pocket", "q8_0")


def test_a_folder_that_is_there_is_left_alone(adapter, tmp_path):
    with pytest.raises(Conflict, match="exists already"):
        write_peft(str(pocket.FOLDER), adapter, tmp_path)

    assert list(tmp_path.iterdir()) == []
