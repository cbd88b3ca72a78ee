"""On the same weights and the same batch our losses are TRL's."""

import pytest
import torch
from tests.training.conftest import QUESTIONS

from hypotez.nn.load import load, save
from hypotez.nn.lora import attach, initialise, loras, merge
from hypotez.training.examples import Examples, Tokens
from hypotez.training.logps import Policy
from hypotez.training.losses import kto_weights
from hypotez.training.methods import method

trl = pytest.importorskip("trl")
datasets = pytest.importorskip("datasets")
transformers = pytest.importorskip("transformers")


@pytest.fixture
def policy(base) -> Policy:
    """The base with a random adapter as it would be in the middle of training."""
    decoder = load(base)
    attach(decoder, 4)
    initialise(decoder, 0, 4, 8, seed=0)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for lora in loras(decoder):
            for b in lora.b:
                b.copy_(torch.randn(b.shape, generator=generator) * 0.03)
    return Policy(decoder, 0, None)


@pytest.fixture
def trained(policy, base, tmp_path):
    """The same policy as a transformers model, and the tokenizer."""
    merged = load(base)
    attach(merged, 4)
    with torch.no_grad():
        for mine, other in zip(loras(merged), loras(policy.decoder), strict=True):
            mine.load_state_dict(other.state_dict())
            mine.set_scale(0, 2.0, 4)
    merge(merged, 0)
    save(merged, tmp_path / "merged")
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(base / "tokenizer.json"), eos_token="<|im_end|>", pad_token="<|im_end|>"
    )
    return transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "merged"), tokenizer


def arguments(tmp_path) -> dict:
    return {
        "output_dir": str(tmp_path / "out"), "per_device_train_batch_size": 4, "report_to": [], "use_cpu": True,
        "gradient_checkpointing": False, "bf16": False, "beta": 0.3, "max_length": 256,
    }  # fmt: skip


def loss_of(trainer) -> tuple[dict, float]:
    """TRL's first batch and its loss on it."""
    batch = next(iter(trainer.get_train_dataloader()))
    trainer.model.eval()
    with torch.no_grad():
        return batch, float(trainer.compute_loss(trainer.model, batch))


def sequences(batch: dict) -> list[Tokens]:
    found = []
    for ids, mask, attended in zip(batch["input_ids"], batch["completion_mask"], batch["attention_mask"], strict=True):
        n = int(attended.sum())
        found.append(Tokens(ids[:n].tolist(), mask[:n].bool().tolist()))
    return found


def examples_of(found: list[Tokens], per_example: int = 1) -> Examples:
    examples = Examples(per_example)
    for at in range(0, len(found), per_example):
        examples.append([(s.ids, s.mask) for s in found[at : at + per_example]], 256)
    return examples


def ours(name: str, policy: Policy, examples: Examples) -> float:
    everything = range(len(examples))
    how = method(name, 0.3)
    with torch.no_grad():
        return float(how.loss(policy, examples, everything).loss / how.count(examples, everything))


def test_supervised_loss_is_trls(policy, trained, tmp_path):
    rows = [{"prompt": f"{q} is ", "completion": f"{q[::-1]} and {q}"} for q in QUESTIONS[:4]]
    options = {k: v for k, v in arguments(tmp_path).items() if k != "beta"}
    trainer = trl.SFTTrainer(
        trained[0], trl.SFTConfig(**options, completion_only_loss=True), train_dataset=datasets.Dataset.from_list(rows),
        processing_class=trained[1],
    )  # fmt: skip
    batch, theirs = loss_of(trainer)
    found = []
    for ids, labels, attended in zip(batch["input_ids"], batch["labels"], batch["attention_mask"], strict=True):
        n = int(attended.sum())
        found.append(Tokens(ids[:n].tolist(), (labels[:n] != -100).tolist()))

    assert ours("supervised", policy, examples_of(found)) == pytest.approx(theirs, rel=1e-4)


def test_dpo_loss_is_trls(policy, trained, base, tmp_path):
    rows = [{"prompt": f"{q} is ", "chosen": q[::-1], "rejected": f"not {q}"} for q in QUESTIONS[:4]]
    trainer = trl.DPOTrainer(
        trained[0], transformers.AutoModelForCausalLM.from_pretrained(base), trl.DPOConfig(**arguments(tmp_path)),
        train_dataset=datasets.Dataset.from_list(rows), processing_class=trained[1],
    )  # fmt: skip
    batch, theirs = loss_of(trainer)
    both = sequences(batch)  # TRL has all better ones first, then all worse ones
    half = len(both) // 2
    pairs = [sequence for i in range(half) for sequence in (both[i], both[half + i])]

    assert ours("dpo", policy, examples_of(pairs, 2)) == pytest.approx(theirs, rel=1e-4)
    assert theirs != pytest.approx(0.6931, abs=1e-3)


@pytest.mark.parametrize("labels", [[True, False, True, True], [True] * 4, [False] * 4], ids=["mixed", "good", "bad"])
def test_kto_loss_is_trls(policy, trained, base, tmp_path, labels):
    rows = [
        {"prompt": f"{q} is ", "completion": f"{q[::-1]} {q}", "label": label}
        for q, label in zip(QUESTIONS[:4], labels, strict=True)
    ]
    up = sum(labels)
    desirable, undesirable = kto_weights(up, len(labels) - up)
    options = arguments(tmp_path) | {"desirable_weight": desirable, "undesirable_weight": undesirable}
    trainer = trl.KTOTrainer(
        trained[0], transformers.AutoModelForCausalLM.from_pretrained(base), trl.KTOConfig(**options),
        train_dataset=datasets.Dataset.from_list(rows), processing_class=trained[1],
    )  # fmt: skip
    batch, theirs = loss_of(trainer)
    examples = examples_of(sequences(batch))
    examples.labels = [bool(label) for label in batch["label"]]

    assert ours("kto", policy, examples) == pytest.approx(theirs, rel=1e-4)
