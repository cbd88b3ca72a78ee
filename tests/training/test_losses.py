"""Losses checked by hand, and log-probabilities against the formula written out."""

import math

import pytest
import torch

from hypotez.nn.config import DecoderConfig
from hypotez.nn.decoder import Decoder
from hypotez.training.examples import Tokens
from hypotez.training.logps import Policy, lay, sums
from hypotez.training.losses import dpo, group_advantages, grpo, kto, kto_weights
from hypotez.training.methods import mismatched
from hypotez.training.optimizer import AdamW, rate


def test_dpo_by_hand():
    losses, margin = dpo(*(torch.tensor([x]) for x in (-1.0, -3.0, -2.0, -2.5)), beta=2.0)

    # better rose by 1, worse fell by 0.5: margin 2 * 1.5
    assert margin.tolist() == [3.0]
    assert losses.tolist() == pytest.approx([math.log1p(math.exp(-3.0))])


def test_kto_by_hand():
    losses, rewards = kto(
        torch.tensor([-1.0, -1.0]), torch.tensor([-3.0, -3.0]), torch.tensor([True, False]), torch.tensor(0.5),
        beta=1.0, weights=(2.0, 1.0),
    )  # fmt: skip

    sigmoid = 1 / (1 + math.exp(-1.5))
    assert rewards.tolist() == [2.0, 2.0]
    assert losses.tolist() == pytest.approx([2 * (1 - sigmoid), sigmoid])


@pytest.mark.parametrize(
    ("counts", "weights"),
    [((10, 10), (1.0, 1.0)), ((10, 40), (4.0, 1.0)), ((30, 10), (1.0, 3.0)), ((5, 0), (1.0, 1.0))],
)
def test_the_rarer_kind_weighs_more(counts, weights):
    assert kto_weights(*counts) == weights


def test_grpo_by_hand():
    ratio = torch.tensor([1.0, 2.0, 2.0, 0.5, 0.5])  # a clip of 0.2 stops what has gone far enough, and only that
    advantages = torch.tensor([1.0, 1.0, -1.0, 1.0, -1.0])

    losses, kl = grpo(ratio.log(), torch.zeros(5), advantages, torch.zeros(5), beta=0.0)

    assert losses.tolist() == pytest.approx([-1.0, -1.2, 2.0, -0.5, 0.8])
    assert kl.tolist() == pytest.approx([0.0, *[0.5 + math.log(2) - 1] * 2, *[2 - math.log(2) - 1] * 2])


def test_a_token_drawn_just_now_is_pushed_by_its_advantage_and_pulled_to_the_reference():
    logps = torch.tensor([-1.0, -2.0], requires_grad=True)

    losses, _ = grpo(logps, logps.detach(), torch.tensor([0.5, -0.5]), torch.tensor([-1.0, -1.0]), beta=0.1)
    losses.sum().backward()

    assert logps.grad.tolist() == pytest.approx([-0.5, 0.5 + 0.1 * (-2.0 + 1.0)])


def test_advantages_are_of_the_group_alone():
    advantages = group_advantages(torch.tensor([[0.0, 1.0, 0.0, 1.0], [1.0, 1.0, 1.0, 1.0]]))

    half = 0.5 / (math.sqrt(1 / 3) + 1e-4)
    assert advantages.tolist() == [pytest.approx([-half, half, -half, half]), [0.0] * 4]


@pytest.mark.parametrize("cap", [None, 3.0])
@pytest.mark.parametrize("tied", [True, False])
def test_logps_and_their_gradients_are_those_of_log_softmax(cap, tied, monkeypatch):
    monkeypatch.setattr("hypotez.training.logps._BLOCK", 16)  # three blocks, the last one short
    decoder = Decoder(DecoderConfig(40, 16, 24, 2, 2, 1, 8, tied=tied, logit_softcap=cap, initializer_range=0.3))
    decoder.reset(seed=0)
    generator = torch.Generator().manual_seed(0)
    sequences = [
        Tokens(torch.randint(0, 40, (n,), generator=generator).tolist(), [False, False, *[True] * (n - 2)])
        for n in (20, 7, 14)
    ]
    laid = lay(sequences)
    policy = Policy(decoder, None, None)
    upstream = torch.randn(len(laid.targets), generator=generator)

    logps, correct = policy.logps(laid)
    (logps * upstream).sum().backward()
    ours = {name: p.grad.clone() for name, p in decoder.named_parameters()}
    decoder.zero_grad()
    from hypotez.nn.attention import Packed

    attend = Packed(laid.lengths)
    logits = decoder.logits(decoder(laid.tokens, attend.positions(), attend)[laid.rows])
    expected = logits.log_softmax(-1).gather(1, laid.targets[:, None])[:, 0]
    (expected * upstream).sum().backward()

    torch.testing.assert_close(logps, expected)
    assert torch.equal(correct, logits.argmax(-1) == laid.targets)
    for name, parameter in decoder.named_parameters():
        torch.testing.assert_close(ours[name], parameter.grad, rtol=1e-4, atol=1e-5, msg=name)


def test_sequences_are_laid_up_to_their_last_learnt_token():
    laid = lay([Tokens([1, 2, 3, 4], [False, True, True, False]), Tokens([5, 6, 7], [False, False, True])])

    assert laid.tokens.tolist() == [1, 2, 5, 6]
    assert laid.lengths == [2, 2]
    assert laid.rows.tolist() == [0, 1, 3]
    assert laid.targets.tolist() == [2, 3, 7]
    assert sums(torch.tensor([1.0, 2.0, 4.0]), laid).tolist() == [3.0, 4.0]


def test_mismatched_pairs_each_prompt_with_its_neighbours_reply():
    first, second = Tokens([1, 2, 3], [False, False, True]), Tokens([4, 5, 6], [False, True, True])

    assert mismatched([first, second]) == [
        Tokens([1, 2, 5, 6], [False, False, True, True]),
        Tokens([4, 3], [False, True]),
    ]


def test_adamw_is_torchs():
    def parameters() -> list[torch.nn.Parameter]:
        generator = torch.Generator().manual_seed(0)
        return [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in ((3, 4), (5,))]

    mine, theirs = parameters(), parameters()
    ours, reference = AdamW(mine, decay=0.1), torch.optim.AdamW(theirs, lr=0.01, weight_decay=0.1)

    for _ in range(5):
        for group in (mine, theirs):
            (sum((p**3).sum() for p in group) * 0.01).backward()
        ours.add([p.grad for p in mine])
        for p in mine:
            p.grad = None
        ours.step(0.01)
        reference.step()
        reference.zero_grad()

    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b)


def test_gradients_are_cut_to_the_norm():
    parameter = torch.nn.Parameter(torch.zeros(2))
    optimizer = AdamW([parameter])
    optimizer.add([torch.tensor([30.0, 40.0])])

    assert optimizer.step(0.1, clip=1.0) == pytest.approx(50.0)
    torch.testing.assert_close(optimizer.first, torch.tensor([0.06, 0.08]))
    assert not optimizer.gradient.any()


def test_the_step_size_rises_and_falls():
    rates = [rate(step, 100, peak=1.0) for step in range(100)]

    assert rates[0] == pytest.approx(1 / 6)
    assert max(rates) == rates[5] == 1.0
    assert rates[99] == pytest.approx(0.1, abs=0.01)
    assert rate(0, 1, peak=1.0) == 1.0
