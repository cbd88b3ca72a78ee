"""AdamW (Loshchilov and Hutter 2019) over one flat vector, and the schedule of its step size.

The parameters become views of one tensor, so that a step is ten operations however many they are, and a checkpoint
three tensors. (torch.optim does the same arithmetic, but pulls in the compiler at its first step: over a second.)
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class AdamW:
    """Takes over the storage of float32 ``parameters``."""

    def __init__(
        self, parameters: Sequence[nn.Parameter], betas: tuple[float, float] = (0.9, 0.999), decay: float = 0.0
    ) -> None:
        self.betas, self.decay, self.eps = betas, decay, 1e-8
        self.steps = 0
        self.parameters = list(parameters)
        self.flat = torch.cat([p.detach().reshape(-1) for p in parameters])
        self.gradient = torch.zeros_like(self.flat)
        self.first, self.second = torch.zeros_like(self.flat), torch.zeros_like(self.flat)
        self._gradients: list[Tensor] = []
        at = 0
        for p in parameters:
            span = slice(at, at + p.numel())
            p.data = self.flat[span].view_as(p)
            self._gradients.append(self.gradient[span].view_as(p))
            at += p.numel()

    @torch.no_grad()
    def add(self, gradients: Sequence[Tensor | None]) -> None:
        """One part's gradients, in the order of the parameters; None where the part does not use one."""
        for held, found in zip(self._gradients, gradients, strict=True):
            if found is not None:
                held += found

    @torch.no_grad()
    def step(self, rate: float, clip: float = 1.0) -> float:
        """One update, gradients cut to norm ``clip`` and cleared after; returns their norm before the cut."""
        self.steps += 1
        norm = float(self.gradient.norm())
        if norm > clip:
            self.gradient.mul_(clip / norm)
        b1, b2 = self.betas
        self.first.lerp_(self.gradient, 1 - b1)
        self.second.mul_(b2).addcmul_(self.gradient, self.gradient, value=1 - b2)
        if self.decay:
            self.flat.mul_(1 - rate * self.decay)
        scale = (self.second / (1 - b2**self.steps)).sqrt_().add_(self.eps)
        self.flat.addcdiv_(self.first, scale, value=-rate / (1 - b1**self.steps))
        self.gradient.zero_()
        return norm

    def state(self) -> dict[str, Tensor]:
        return {"weights": self.flat, "first": self.first, "second": self.second}

    @torch.no_grad()
    def restore(self, state: dict[str, Tensor], steps: int) -> None:
        self.flat.copy_(state["weights"])
        self.first.copy_(state["first"])
        self.second.copy_(state["second"])
        self.steps = steps


def rate(step: int, total: int, peak: float, warmup: float = 0.06, floor: float = 0.1) -> float:
    """Step size at ``step`` (from 0): up in a line for the share ``warmup``, then down along a cosine to ``floor``."""
    rise = max(1, round(total * warmup))
    if step < rise:
        return peak * (step + 1) / rise
    gone = (step - rise) / max(1, total - rise)
    return peak * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * gone)))
