"""The losses, as functions of log-probabilities. Knows no model, no file and no loop.

Sources: Rafailov et al. 2023 (DPO); Ethayarajh et al. 2024 (KTO); Shao et al. 2024 (GRPO).
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def dpo(better: Tensor, worse: Tensor, ref_better: Tensor, ref_worse: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """Log-probabilities of whole replies, (pairs,) each -> loss (pairs,), and the margin between the two rewards."""
    margin = beta * ((better - ref_better) - (worse - ref_worse))
    return -F.logsigmoid(margin), margin


def kto(
    logps: Tensor, ref: Tensor, desirable: Tensor, kl: Tensor, beta: float, weights: tuple[float, float] = (1.0, 1.0)
) -> tuple[Tensor, Tensor]:
    """(examples,) log-probabilities of whole replies, ``desirable`` a mask, ``kl`` a number >= 0 without gradient.

    Returns loss (examples,) and reward (examples,). ``weights`` are for desirable and undesirable examples.
    """
    ratio = logps - ref
    gain = torch.where(desirable, ratio - kl, kl - ratio)
    weight = torch.where(desirable, weights[0], weights[1])
    return weight * (1 - torch.sigmoid(beta * gain)), beta * ratio


def kto_weights(desirable: int, undesirable: int) -> tuple[float, float]:
    """Weights that make both kinds count alike; the rarer one is raised (the paper's rule, with ratio 1)."""
    if not desirable or not undesirable:
        return 1.0, 1.0
    return max(1.0, undesirable / desirable), max(1.0, desirable / undesirable)


def grpo(
    logps: Tensor, old: Tensor, advantages: Tensor, ref: Tensor | None, beta: float, clip: float = 0.2
) -> tuple[Tensor, Tensor]:
    """(N,) of tokens each: log-probabilities now, when they were drawn, and under the reference; the advantage of the
    reply that the token belongs to.

    Returns loss (N,) and the estimate of the KL divergence (N,), zeros without a reference. A token that has become
    more or less likely than ``1 + clip`` or ``1 - clip`` times what it was gains nothing from going further. The
    divergence is weighed by the ratio, which makes its gradient the true one: logps - ref (DeepSeek-V3.2, 2025).
    """
    ratio = torch.exp(logps - old)
    gain = torch.minimum(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages)
    if ref is None:
        return -gain, torch.zeros_like(gain)
    kl = torch.exp(ref - logps) - (ref - logps) - 1
    return beta * ratio * kl - gain, kl


def group_advantages(rewards: Tensor) -> Tensor:
    """(prompts, replies) rewards -> how much better each reply did than its prompt's others, in their deviations."""
    mean, deviation = rewards.mean(1, keepdim=True), rewards.std(1, keepdim=True)
    return (rewards - mean) / (deviation + 1e-4)
