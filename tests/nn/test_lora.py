"""LoRA slots: one, many, none, by row; the same numbers as PEFT and as merged weights; gradients as autograd's."""

import json
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from hypotez.errors import InvalidRequest
from hypotez.nn.adapters import load_adapter, save_adapter
from hypotez.nn.attention import Packed
from hypotez.nn.linear import Linear
from hypotez.nn.load import load, save
from hypotez.nn.lora import ALL_LINEAR, attach, detach, initialise, loras, merge, merged
from hypotez.nn.lora_eight import EightBitLora
from hypotez.nn.rows import Rows

QV = ("q_proj", "v_proj")


def run(decoder, batch, slots=None):
    """Logits of each sequence; ``slots`` one per sequence, or one for all."""
    attend = Packed([len(s) for s in batch])
    if isinstance(slots, list):
        slots = torch.repeat_interleave(torch.tensor(slots), torch.tensor([len(s) for s in batch]))
    with torch.no_grad():
        return decoder.logits(decoder(torch.cat(batch), attend.positions(), attend, slots))


def fill(decoder, slot, r, alpha=8.0, seed=0):
    """A random adapter whose B is not zero."""
    initialise(decoder, slot, r, alpha, seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for lora in loras(decoder):
            for b in lora.b:
                b[slot, :r] = torch.randn(b.shape[2], r, generator=generator).t() * 0.3


def test_empty_slots_and_no_slots_change_nothing(decoder, batch):
    before = run(decoder, batch)

    attach(decoder, 4, slots=3)

    assert torch.equal(run(decoder, batch), before)
    assert torch.equal(run(decoder, batch, 1), before)
    assert torch.equal(run(decoder, batch, [-1, -1, -1, -1]), before)
    torch.testing.assert_close(run(decoder, batch, [0, 2, -1, 1]), before)


@pytest.mark.parametrize("slot", [None, 1], ids=["none", "one"])
def test_the_rows_wanted_are_those_of_the_whole_result(decoder, batch, slot):
    attach(decoder, 6, slots=2)
    fill(decoder, 1, r=6)
    attend, wanted = Packed([len(s) for s in batch]), torch.tensor([0, 3, 4])

    with torch.no_grad():
        whole, some = (decoder(torch.cat(batch), attend.positions(), attend, slot, w) for w in (None, wanted))

    torch.testing.assert_close(some, whole[wanted])


@pytest.mark.parametrize("targets", [ALL_LINEAR, QV, ("up_proj", "k_proj", "down_proj")], ids=["all", "qv", "odd"])
def test_rows_of_one_batch_use_their_own_adapters(decoder, batch, targets):
    attach(decoder, 6, targets, slots=3)
    fill(decoder, 0, r=2, seed=1)
    fill(decoder, 2, r=6, alpha=3.0, seed=2)
    slots = [2, -1, 0, 2]

    mixed = run(decoder, batch, slots)
    alone = torch.cat([run(decoder, [s], slot) for s, slot in zip(batch, slots, strict=True)])

    torch.testing.assert_close(mixed, alone)


def test_rows_follow_whoever_joins_leaves_and_is_trained_anew(decoder, batch):
    attach(decoder, 4, slots=6)
    for slot in range(6):
        fill(decoder, slot, r=4, seed=slot)
    passes = [[0, 1, 2, 3], [0, 1, 2, 5], [4, 1, -1, 5], [5, 5, 4, 4], [2, 2, 2, 3], [0, 1, 2, 3]]

    for step, slots in enumerate(passes):
        if step == 4:
            fill(decoder, 2, r=3, seed=9)
        alone = torch.cat([run(decoder, [s], slot) for s, slot in zip(batch, slots, strict=True)])
        torch.testing.assert_close(run(decoder, batch, slots), alone)


def test_a_slot_that_is_trained_in_place_answers_anew(decoder, batch):
    attach(decoder, 16, slots=2)
    fill(decoder, 0, r=16)
    run(decoder, batch, [0, 0, 0, 0])

    with torch.no_grad():
        for lora in loras(decoder):
            lora.a.mul_(1.5)
            lora.changed()
    found = run(decoder, batch, [0, 0, 0, 0])

    torch.testing.assert_close(found, run(decoder, batch, 0))


def test_merged_weights_answer_as_the_adapter_does(decoder, batch):
    attach(decoder, 4, slots=2)
    fill(decoder, 1, r=4)
    expected = run(decoder, batch, 1)

    merge(decoder, 1)

    torch.testing.assert_close(run(decoder, batch), expected)
    torch.testing.assert_close(run(decoder, batch, 1), expected)


def test_growing_keeps_what_the_slots_hold(decoder, batch):
    attach(decoder, 2, QV, slots=1)
    fill(decoder, 0, r=2)
    expected = run(decoder, batch, 0)

    attach(decoder, 5, ("k_proj", "o_proj"), slots=4)
    fill(decoder, 3, r=5)

    torch.testing.assert_close(run(decoder, batch, 0), expected)
    assert {lora.r for lora in loras(decoder)} == {5}


@pytest.mark.parametrize("slots", [1, 3], ids=["one slot", "three slots"])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
def test_gradients_are_those_of_the_formula(bias, slots):
    linear = Linear(6, [("a.q_proj", 5), ("a.k_proj", 3), ("a.v_proj", 3)], bias).double()
    torch.nn.init.normal_(linear.weight)
    alone = SimpleNamespace(linears=[linear])
    attach(alone, 2, QV, slots)
    fill(alone, 0, r=2, alpha=3.0)
    lora = linear.lora
    assert lora is not None

    def by_hand(x, weight, a, bq, bv):
        z = 1.5 * x @ a.T
        delta = torch.cat([z[:, :2] @ bq.T, torch.zeros(len(x), 3).double(), z[:, 2:] @ bv.T], 1)
        return F.linear(x, weight, linear.bias) + delta + residual

    x = torch.randn(4, 6, dtype=torch.double, requires_grad=True)
    residual = torch.randn(4, 11, dtype=torch.double, requires_grad=True)
    ours = linear(x, Rows(0), residual)
    theirs = by_hand(x, linear.weight, lora.a[0], lora.b[0][0].T, lora.b[1][0].T)
    upstream = torch.randn_like(ours)
    wanted = [x, residual, linear.weight, lora.a, *lora.b]

    torch.testing.assert_close(ours, theirs)
    for mine, other in zip(
        torch.autograd.grad(ours, wanted, upstream), torch.autograd.grad(theirs, wanted, upstream), strict=True
    ):
        torch.testing.assert_close(mine, other)


def test_adapter_survives_the_way_to_disk_and_back(decoder, batch, tmp_path):
    attach(decoder, 8, slots=2)
    fill(decoder, 1, r=3, alpha=5.0)
    expected = run(decoder, batch, 1)

    save_adapter(decoder, 1, tmp_path / "a", base="tiny")
    load_adapter(decoder, 0, tmp_path / "a")

    assert json.loads((tmp_path / "a" / "adapter_config.json").read_text())["r"] == 3
    torch.testing.assert_close(run(decoder, batch, 0), expected)


def test_a_new_adapter_replaces_the_old_one_in_its_slot(decoder, batch, tmp_path):
    attach(decoder, 8, slots=1)
    fill(decoder, 0, r=2, seed=1)
    save_adapter(decoder, 0, tmp_path / "a", base="tiny")
    expected = run(decoder, batch, 0)
    fill(decoder, 0, r=8, seed=2)

    load_adapter(decoder, 0, tmp_path / "a")

    torch.testing.assert_close(run(decoder, batch, 0), expected)


def test_peft_reads_ours_and_gives_equal_logits(decoder, batch, tmp_path):
    peft, transformers = pytest.importorskip("peft"), pytest.importorskip("transformers")
    save(decoder, tmp_path / "base")
    attach(decoder, 4, slots=1)
    fill(decoder, 0, r=4)
    save_adapter(decoder, 0, tmp_path / "adapter", base=str(tmp_path / "base"))

    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    model = peft.PeftModel.from_pretrained(model, tmp_path / "adapter")

    expected = torch.cat([model(s[None]).logits[0] for s in batch])
    torch.testing.assert_close(run(decoder, batch, 0), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "options",
    [
        {"r": 3, "lora_alpha": 7, "target_modules": "all-linear"},
        {"r": 9, "lora_alpha": 9, "target_modules": ["q_proj", "down_proj"], "use_rslora": True},
        {
            "r": 4,
            "lora_alpha": 8,
            "target_modules": ["q_proj", "k_proj", "up_proj"],
            "rank_pattern": {"k_proj": 2},
            "alpha_pattern": {"layers.1.self_attn.q_proj": 32},
        },
    ],
    ids=["all-linear", "rslora", "patterns"],
)
def test_we_read_pefts_and_give_equal_logits(decoder, batch, tmp_path, options):
    peft, transformers = pytest.importorskip("peft"), pytest.importorskip("transformers")
    save(decoder, tmp_path / "base")
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    options = {"task_type": "CAUSAL_LM", "init_lora_weights": False} | options
    model = peft.get_peft_model(model, peft.LoraConfig(**options)).eval()
    model.save_pretrained(tmp_path / "adapter")

    ours = load(tmp_path / "base")
    load_adapter(ours, 2, tmp_path / "adapter")

    expected = torch.cat([model(s[None]).logits[0] for s in batch])
    torch.testing.assert_close(run(ours, batch, 2), expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(run(ours, batch, [2, -1, 2, 2])[:7], expected[:7], rtol=1e-4, atol=1e-4)


def test_eight_bits_cost_one_percent_of_what_an_adapter_adds(decoder, tmp_path):
    attach(decoder, 6)
    fill(decoder, 0, r=6)
    exact = [merged(linear, 0) - linear.weight for linear in decoder.linears]
    save_adapter(decoder, 0, tmp_path, base="tiny")
    detach(decoder)

    load_adapter(decoder, 2, tmp_path, kind=EightBitLora)
    rounded = [merged(linear, 2) - linear.weight for linear in decoder.linears]
    attach(decoder, 16, slots=8)  # moves what the slots hold
    grown = [merged(linear, 2) - linear.weight for linear in decoder.linears]

    for wanted, found, moved in zip(exact, rounded, grown, strict=True):
        assert 0 < (found - wanted).norm() < 0.015 * wanted.norm()
        torch.testing.assert_close(moved, found)


def test_adapter_of_another_model_is_refused_with_both_shapes(decoder, tmp_path):
    attach(decoder, 2)
    fill(decoder, 0, r=2)
    save_adapter(decoder, 0, tmp_path, base="tiny")
    other = type(decoder)(type(decoder.config)(64, 16, 48, 2, 4, 2, 8))

    with pytest.raises(InvalidRequest, match=r"q_proj is 16 -> 32 here, 32 -> 32 there"):
        load_adapter(other, 0, tmp_path)


def test_a_folder_that_is_no_adapter_is_refused(decoder, tmp_path):
    with pytest.raises(InvalidRequest, match="not a PEFT adapter"):
        load_adapter(decoder, 0, tmp_path)
