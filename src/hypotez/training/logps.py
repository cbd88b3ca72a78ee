"""Log-probabilities of the learnt tokens only, in blocks, never as a full logits matrix. Knows no method.

``lay`` puts sequences end to end; ``Policy`` runs the decoder over them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from hypotez.nn.attention import Packed
from hypotez.nn.decoder import Decoder
from hypotez.training.examples import Tokens

_BLOCK = 4096  # tokens of the vocabulary at once: their weights and logits stay in the cache


@dataclass(frozen=True, slots=True)
class Laid:
    """Sequences end to end, T tokens, of which N predict a learnt one."""

    tokens: Tensor  # (T,)
    lengths: list[int]
    rows: Tensor  # (N,) where in T the prediction is made
    targets: Tensor  # (N,) the token it should be
    owner: Tensor  # (N,) which sequence it belongs to


def lay(sequences: Sequence[Tokens], device: torch.device | None = None) -> Laid:
    """Each sequence goes in up to its last learnt token, exclusive: what follows predicts nothing."""
    tokens: list[int] = []
    lengths: list[int] = []
    rows: list[int] = []
    targets: list[int] = []
    owner: list[int] = []
    for i, sequence in enumerate(sequences):
        learnt = [at for at, m in enumerate(sequence.mask) if m]
        rows += [len(tokens) + at - 1 for at in learnt]
        targets += [sequence.ids[at] for at in learnt]
        owner += [i] * len(learnt)
        lengths.append(learnt[-1])
        tokens += sequence.ids[: learnt[-1]]

    def tensor(values: list[int]) -> Tensor:
        return torch.tensor(values, device=device)

    return Laid(tensor(tokens), lengths, tensor(rows), tensor(targets), tensor(owner))


@dataclass(frozen=True, slots=True)
class Policy:
    """A decoder as it is being trained (``slot``; None is the weights themselves) and as it was when that began.

    The latter is the same decoder with another slot (``reference``; None is no adapter), or, where the weights
    themselves are trained, a ``frozen`` copy.
    """

    decoder: Decoder
    slot: int | None
    reference: int | None = None
    frozen: Decoder | None = None

    def logps(self, laid: Laid) -> tuple[Tensor, Tensor]:
        """(N,) log-probabilities in float32 and (N,) whether the token was the likeliest."""
        return _run(self.decoder, self.slot, laid)

    @torch.no_grad()
    def reference_logps(self, laid: Laid) -> Tensor:
        """(N,) under the model that training started from."""
        return _run(self.frozen or self.decoder, self.reference, laid)[0]


def _run(decoder: Decoder, slot: int | None, laid: Laid) -> tuple[Tensor, Tensor]:
    config = decoder.config
    attend = Packed(laid.lengths, config.windows, config.attention_softcap)
    hidden = decoder(laid.tokens, attend.positions(laid.tokens.device), attend, slot, laid.rows)
    head = decoder.embed_tokens.weight if decoder.lm_head is None else decoder.lm_head.weight
    logps, correct = _LogProbability.apply(hidden, head, laid.targets, config.logit_softcap)  # type: ignore[no-untyped-call]
    return logps, correct


def sums(logps: Tensor, laid: Laid) -> Tensor:
    """(N,) per token -> (sequences,) per reply."""
    return torch.zeros(len(laid.lengths), device=logps.device).index_add(0, laid.owner, logps)


class _LogProbability(torch.autograd.Function):
    """log softmax(h W')[target], row by row, in one walk over blocks of the vocabulary.

    The softmax is put together as flash attention does it: a running maximum, a running sum, and what was summed
    before rescaled. A row's gradient is its own upstream number times (W[target] - softmax(h W') W), so the walk can
    sum up softmax(h W') W as well while a block of W is in the cache: nothing as wide as the vocabulary is kept, and
    nothing is done twice. Only a head that is trained itself needs a second walk on the way back.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, head: Tensor, targets: Tensor, cap: float | None) -> tuple[Tensor, Tensor]:
        top = torch.full((len(hidden), 1), -torch.inf, device=hidden.device)
        total, chosen = torch.zeros_like(top), torch.zeros_like(top)
        mean = torch.zeros(hidden.shape, device=hidden.device) if ctx.needs_input_grad[0] else None
        for first, part in _blocks(head):
            logits, slope = _logits(hidden, part, cap)
            here = _targets_in(targets, first, part)
            chosen += torch.where(here.valid, logits.gather(1, here.column), 0)
            above = torch.maximum(top, logits.amax(1, keepdim=True))
            shrunk, weights = torch.exp_(top - above), logits.sub_(above).exp_()
            total.mul_(shrunk).add_(weights.sum(1, keepdim=True))
            if mean is not None:
                weights = weights if slope is None else weights.mul_(slope)
                mean.mul_(shrunk).add_(weights.to(part.dtype) @ part)
            top = above
        normaliser = total.log().add_(top)
        ctx.cap = cap
        direction = None
        if mean is not None:
            towards = head[targets] if cap is None else head[targets] * (1 - (chosen / cap) ** 2)
            direction = torch.sub(towards, mean.div_(total)).to(hidden.dtype)
        ctx.save_for_backward(hidden, head, targets, direction, normaliser)
        correct = (chosen >= top)[:, 0]
        ctx.mark_non_differentiable(correct)
        return (chosen - normaliser)[:, 0], correct

    @staticmethod
    def backward(ctx: Any, up: Tensor, _: Tensor) -> Any:
        hidden, head, targets, direction, normaliser = ctx.saved_tensors
        dhidden = direction * up[:, None].to(direction.dtype) if direction is not None else None
        if not ctx.needs_input_grad[1]:
            return dhidden, None, None, None
        dhead = torch.empty_like(head)
        for first, part in _blocks(head):
            logits, slope = _logits(hidden, part, ctx.cap)
            here = _targets_in(targets, first, part)
            step = logits.sub_(normaliser).exp_().neg_()
            step.scatter_add_(1, here.column, here.valid.to(step.dtype))
            step = (step if slope is None else step.mul_(slope)).mul_(up[:, None])
            torch.mm(step.to(head.dtype).t(), hidden, out=dhead[first : first + len(part)])
        return dhidden, dhead, None, None


@dataclass(frozen=True, slots=True)
class _Here:
    """Where each row's target is in a block of the vocabulary: (N, 1) column and whether it is there at all."""

    column: Tensor
    valid: Tensor


def _blocks(head: Tensor) -> list[tuple[int, Tensor]]:
    return [(at, head[at : at + _BLOCK]) for at in range(0, len(head), _BLOCK)]


def _targets_in(targets: Tensor, first: int, part: Tensor) -> _Here:
    column = targets[:, None] - first
    return _Here(column.clamp(0, len(part) - 1), (column >= 0) & (column < len(part)))


def _logits(hidden: Tensor, part: Tensor, cap: float | None) -> tuple[Tensor, Tensor | None]:
    """(N, block) in float32, and the slope of the cap where there is one."""
    logits = F.linear(hidden, part).float()
    if cap is None:
        return logits, None
    logits = torch.tanh(logits / cap) * cap
    return logits, 1 - (logits / cap) ** 2
