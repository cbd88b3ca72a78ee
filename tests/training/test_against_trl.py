"""On the same weights and the same batch our losses are TRL's."""

import pytest
import torch
from tests.tiny import random_adapter
from tests.training.conftest import QUESTIONS

from hypotez.nn.load import load, save
from hypotez.nn.lora import attach, loras, merge
from hypotez.training.examples import Examples, Tokens
from hypotez.training.exploration import Drawn, Rollouts
from hypotez.training.logps import Policy
from hypotez.training.losses import group_advantages, kto_weights
from hypotez.training.methods import method

trl = pytest.importorskip("trl")
datasets = pytest.importorskip("datasets")
transformers = pytest.importorskip("transformers")


@pytest.fixture
def policy(base) -> Policy:
    """The base with a random adapter as it would be in the middle of training."""
    decoder = load(base)
    random_adapter(decoder, 0.03)
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


def ours(name: str, policy: Policy, examples: Examples, sft_weight: float = 0.0) -> float:
    everything = range(len(examples))
    how = method(name, 0.3, sft_weight)
    with torch.no_grad():
        return float(how.loss(policy, examples, everything, everything).loss / how.count(examples, everything))


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


@pytest.mark.parametrize("sft_weight", [0.0, 0.7], ids=["plain", "held"])
def test_dpo_loss_is_trls(policy, trained, base, tmp_path, sft_weight):
    rows = [{"prompt": f"{q} is ", "chosen": q[::-1], "rejected": f"not {q}"} for q in QUESTIONS[:4]]
    held = {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, sft_weight]} if sft_weight else {}
    trainer = trl.DPOTrainer(
        trained[0], transformers.AutoModelForCausalLM.from_pretrained(base),
        trl.DPOConfig(**arguments(tmp_path), **held),
        train_dataset=datasets.Dataset.from_list(rows), processing_class=trained[1],
    )  # fmt: skip
    batch, theirs = loss_of(trainer)
    both = sequences(batch)  # TRL has all better ones first, then all worse ones
    half = len(both) // 2
    pairs = [sequence for i in range(half) for sequence in (both[i], both[half + i])]

    assert ours("dpo", policy, examples_of(pairs, 2), sft_weight) == pytest.approx(theirs, rel=1e-4)
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


def test_kto_is_held_by_the_supervised_loss_on_the_good_replies_alone(policy):
    """TRL has no such term for KTO: it is the supervised loss, which is TRL's, added with its weight."""
    found = [Tokens(list(range(5, 5 + n)), [False] * 3 + [True] * (n - 3)) for n in (6, 9, 12, 7)]
    examples = examples_of(found)
    examples.labels = [True, False, True, False]
    good = examples_of([found[0], found[2]])

    held = ours("kto", policy, examples, 0.7) - ours("kto", policy, examples)

    assert held == pytest.approx(0.7 * ours("supervised", policy, good), rel=1e-4)


@pytest.mark.parametrize("name", ["dpo", "kto"])
def test_what_holds_is_the_same_however_a_batch_is_cut(policy, name):
    found = [Tokens(list(range(5, 5 + n)), [False] * 3 + [True] * (n - 3)) for n in (6, 9, 12, 7, 8, 20, 5, 30)]
    examples = examples_of(found, 2 if name == "dpo" else 1)
    examples.labels = [True, False, True, False, False, False, True, True] if name == "kto" else []
    batch = range(len(examples))
    half = len(batch) // 2

    def term(*parts: range) -> float:
        with torch.no_grad():
            losses = [
                [float(method(name, 0.3, weight).loss(policy, examples, part, batch).loss) for part in parts]
                for weight in (1.0, 0.0)
            ]
        return sum(losses[0]) - sum(losses[1])

    assert term(batch[:half], batch[half:]) == pytest.approx(term(batch), rel=1e-4)


@pytest.mark.parametrize("beta", [0.0, 0.3])
def test_grpo_loss_and_advantages_are_trls(policy, trained, base, tmp_path, beta):
    """TRL's trainer with its generation replaced by replies of given lengths, drawn by a slightly older policy."""
    options = {k: v for k, v in arguments(tmp_path).items() if k not in ("beta", "max_length")}
    config = trl.GRPOConfig(**options, beta=beta, loss_type="grpo", num_generations=4, max_completion_length=16)
    rows = [{"prompt": f"{q} is "} for q in QUESTIONS[:4]]
    rewards = torch.tensor([0.0, 1.0, 0.25, 1.0])
    trainer = trl.GRPOTrainer(
        trained[0], reward_funcs=lambda completions, **_: rewards.tolist(), args=config,
        train_dataset=datasets.Dataset.from_list(rows), processing_class=trained[1],
    )  # fmt: skip
    generator = torch.Generator().manual_seed(1)
    prompt, lengths = trained[1](rows[0]["prompt"])["input_ids"], [3, 7, 1, 12]
    replies = [torch.randint(0, 256, (n,), generator=generator).tolist() for n in lengths]
    mask = torch.tensor([[1] * n + [0] * (12 - n) for n in lengths])
    ids = torch.tensor([reply + [0] * (12 - len(reply)) for reply in replies])
    everything = torch.cat([torch.tensor([prompt] * 4), ids], 1)
    attended = torch.cat([torch.ones(4, len(prompt), dtype=torch.long), mask], 1)
    reference = transformers.AutoModelForCausalLM.from_pretrained(base)
    with torch.no_grad():
        logps = [
            torch.log_softmax(model(everything, attention_mask=attended).logits[:, len(prompt) - 1 : -1], -1).gather(
                2, ids[..., None]
            )[..., 0]
            for model in (trained[0], reference)
        ]
    old = logps[0] + 0.5 * torch.randn(ids.shape, generator=generator)  # some ratios beyond the clip
    advantages = group_advantages(rewards[None])[0]
    inputs = {
        "prompt_ids": torch.tensor([prompt] * 4), "prompt_mask": torch.ones(4, len(prompt), dtype=torch.long),
        "completion_ids": ids, "completion_mask": mask, "advantages": advantages, "old_per_token_logps": old,
        "ref_per_token_logps": logps[1],
    }  # fmt: skip
    trainer.model.eval()
    with torch.no_grad():
        theirs = float(trainer.compute_loss(trainer.model, inputs))
    rollouts = Rollouts()
    for reply, known, advantage in zip(replies, old.tolist(), advantages.tolist(), strict=True):
        rollouts.add(Drawn(prompt, reply, known[: len(reply)], {}), advantage)

    how = method("reinforcement", beta)
    with torch.no_grad():
        ours = how.loss(policy, rollouts, range(4), range(4)).loss / how.count(rollouts, range(4))

    assert float(ours) == pytest.approx(theirs, rel=1e-4)
