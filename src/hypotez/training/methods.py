"""What one method is: how its file is read, and what its loss on some examples is. Knows no optimiser and no loop."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from hypotez.training.examples import (
    Encoder,
    Examples,
    Tokens,
    read_conversations,
    read_judged,
    read_pairs,
    read_prompts,
)
from hypotez.training.exploration import Rollouts
from hypotez.training.logps import Laid, Policy, lay, sums
from hypotez.training.losses import dpo, grpo, kto, kto_weights


class MethodName(StrEnum):
    SUPERVISED = "supervised"
    DPO = "dpo"
    KTO = "kto"
    REINFORCEMENT = "reinforcement"


@dataclass(frozen=True, slots=True)
class Tally:
    """Sums over ``count`` things that are averaged: tokens for supervised, pairs for DPO, examples for KTO, replies.

    ``right`` counts tokens guessed first, pairs ranked rightly, examples whose reward has the right sign, replies that
    did better than their group.
    """

    loss: Tensor  # a number, with gradient
    right: int
    count: int
    drift: float = 0.0  # KL divergence from the reference; reinforcement only


@dataclass(frozen=True)
class Method:
    """``count`` is what a batch's loss is divided by; ``loss`` is called with a part of a batch and the batch, so that
    the parts' sums are the same however the batch is cut."""

    read: Callable[[Path, Encoder, int], Examples]
    count: Callable[[Examples, Sequence[int]], int]
    loss: Callable[[Policy, Examples, Sequence[int], Sequence[int]], Tally]
    rate: float  # the factor on the learning rate: preferences need smaller steps than imitation
    least: int = 1  # examples per part of a batch; KTO compares each with another
    auto_batch: int = 1  # the smallest batch that ``auto`` chooses


def method(name: str, beta: float, sft_weight: float = 0.0) -> Method:
    """``sft_weight`` weighs what DPO and KTO are held by: the supervised loss on the replies to be given.

    Both only compare, and may lower what they prefer as long as the rest falls further; with this term they may not
    (Pang et al. 2024, RPO; TRL's loss_type ``["sigmoid", "sft"]`` with weights 1 and this).
    """
    match MethodName(name):
        case MethodName.SUPERVISED:
            return Method(read_conversations, _learnt, _supervised, rate=1.0)
        case MethodName.DPO:
            return Method(read_pairs, _each, partial(_dpo, beta=beta, sft_weight=sft_weight), rate=0.2)
        case MethodName.KTO:
            return Method(read_judged, _each, partial(_kto, beta=beta, sft_weight=sft_weight), rate=0.2, least=2)
        case MethodName.REINFORCEMENT:
            return Method(read_prompts, _each, partial(_grpo, beta=beta), rate=0.2, auto_batch=4)


def _learnt(examples: Examples, batch: Sequence[int]) -> int:
    return sum(sequence.learnt for i in batch for sequence in examples[i])


def _each(examples: Examples, batch: Sequence[int]) -> int:
    return len(batch)


def _lay(policy: Policy, sequences: Sequence[Tokens]) -> Laid:
    return lay(sequences, policy.decoder.device)


def _supervised(policy: Policy, examples: Examples, part: Sequence[int], batch: Sequence[int]) -> Tally:
    logps, correct = policy.logps(_lay(policy, [sequence for i in part for sequence in examples[i]]))
    return Tally(-logps.sum(), int(correct.sum()), len(logps))


def _dpo(
    policy: Policy, examples: Examples, part: Sequence[int], batch: Sequence[int], beta: float, sft_weight: float
) -> Tally:
    laid = _lay(policy, [sequence for i in part for sequence in examples[i]])  # better, worse, better, worse, ...
    better, worse = sums(policy.logps(laid)[0], laid).view(-1, 2).unbind(1)
    ref_better, ref_worse = sums(policy.reference_logps(laid), laid).view(-1, 2).unbind(1)
    losses, margin = dpo(better, worse, ref_better, ref_worse, beta)
    held = sft_weight * _per_token(examples, batch, batch) * better.sum()
    return Tally(losses.sum() - held, int((margin > 0).sum()), len(part))


def _kto(
    policy: Policy, examples: Examples, part: Sequence[int], batch: Sequence[int], beta: float, sft_weight: float
) -> Tally:
    sequences = [examples[i][0] for i in part]
    laid, strange = _lay(policy, sequences), _lay(policy, mismatched(sequences))
    with torch.no_grad():
        drift = sums(policy.logps(strange)[0], strange) - sums(policy.reference_logps(strange), strange)
    desirable = torch.tensor([examples.labels[i] for i in part], device=policy.decoder.device)
    up = sum(examples.labels)
    replies = sums(policy.logps(laid)[0], laid)
    losses, rewards = kto(
        replies,
        sums(policy.reference_logps(laid), laid),
        desirable,
        drift.mean().clamp(min=0),
        beta,
        kto_weights(up, len(examples) - up),
    )
    held = sft_weight * _per_token(examples, [i for i in batch if examples.labels[i]], batch) * replies[desirable].sum()
    return Tally(losses.sum() - held, int(((rewards > 0) == desirable).sum()), len(part))


def _per_token(examples: Examples, given: Sequence[int], batch: Sequence[int]) -> float:
    """What a token of the replies to be ``given`` weighs, so that their mean counts for the whole batch."""
    tokens = sum(examples.learnt(i) for i in given)
    return len(batch) / tokens if tokens else 0.0


def _grpo(policy: Policy, examples: Examples, part: Sequence[int], batch: Sequence[int], beta: float) -> Tally:
    assert isinstance(examples, Rollouts)
    device = policy.decoder.device
    laid = _lay(policy, [examples[i][0] for i in part])
    logps, _ = policy.logps(laid)
    old = torch.tensor([logp for i in part for logp in examples.logps[i]], device=device)
    advantages = torch.tensor([examples.advantages[i] for i in part], device=device)
    ref = policy.reference_logps(laid) if beta else None
    losses, kl = grpo(logps, old, advantages[laid.owner], ref, beta)
    lengths = sums(torch.ones_like(losses), laid)
    drift = float((sums(kl.detach(), laid) / lengths).sum())
    return Tally((sums(losses, laid) / lengths).sum(), int((advantages > 0).sum()), len(part), drift)


def mismatched(sequences: Sequence[Tokens]) -> list[Tokens]:
    """Each prompt with its neighbour's reply: how far the policy has drifted on what nobody asked for (KTO's KL)."""
    found = []
    for sequence, other in zip(sequences, [sequences[-1], *sequences[:-1]], strict=True):
        prompt, reply = sequence.ids[: sequence.start], other.ids[other.start :]
        found.append(Tokens(prompt + reply, [False] * len(prompt) + other.mask[other.start :]))
    return found
