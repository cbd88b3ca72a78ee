"""Log-probabilities of the learnt tokens only, in chunks, never as a full logits matrix. Knows no method.

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

_CHUNK = 1 << 22  # logits held at once: 16 MB in float32, which stays in the last-level cache


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
    hidden = decoder(laid.tokens, attend.positions(laid.tokens.device), attend, slot)[laid.rows]
    head = decoder.embed_tokens.weight if decoder.lm_head is None else decoder.lm_head.weight
    logps, correct = _LogProbability.apply(hidden, head, laid.targets, config.logit_softcap)  # type: ignore[no-untyped-call]
    return logps, correct


def sums(logps: Tensor, laid: Laid) -> Tensor:
    """(N,) per token -> (sequences,) per reply."""
    return torch.zeros(len(laid.lengths), device=logps.device).index_add(0, laid.owner, logps)


class _LogProbability(torch.autograd.Function):
    """log softmax(h W')[target], row by row.

    A row's gradient is its own upstream number times (W[target] - softmax(h W') W), which the forward pass can already
    work out while it has the chunk's softmax: nothing as wide as the vocabulary is kept, and nothing is done twice.
    Only a head that is trained itself needs the softmax again on the way back.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, head: Tensor, targets: Tensor, cap: float | None) -> tuple[Tensor, Tensor]:
        logps, correct = torch.empty(len(hidden), device=hidden.device), torch.empty_like(targets, dtype=torch.bool)
        wanted = ctx.needs_input_grad[0]
        direction = torch.empty_like(hidden) if wanted else None
        for part in _chunks(hidden, head):
            logits = _capped(F.linear(hidden[part], head).float(), cap)
            best, where = logits.max(-1)
            correct[part] = where == targets[part]
            chosen = logits.gather(1, targets[part, None])[:, 0]
            slope = 1 - (logits / cap) ** 2 if cap is not None and direction is not None else None
            weights = logits.sub_(best[:, None]).exp_()
            total = weights.sum(-1)
            logps[part] = chosen - best - total.log()
            if direction is not None:
                direction[part] = _upwards(weights, total, targets[part], slope).to(head.dtype) @ head
        ctx.cap = cap
        ctx.save_for_backward(hidden, head, targets, direction)
        ctx.mark_non_differentiable(correct)
        return logps, correct

    @staticmethod
    def backward(ctx: Any, up: Tensor, _: Tensor) -> Any:
        hidden, head, targets, direction = ctx.saved_tensors
        dhidden = direction * up[:, None].to(direction.dtype) if direction is not None else None
        if not ctx.needs_input_grad[1]:
            return dhidden, None, None, None
        dhead = torch.zeros_like(head)
        for part in _chunks(hidden, head):
            logits = _capped(F.linear(hidden[part], head).float(), ctx.cap)
            slope = 1 - (logits / ctx.cap) ** 2 if ctx.cap is not None else None
            weights = logits.sub_(logits.amax(-1, keepdim=True)).exp_()
            step = _upwards(weights, weights.sum(-1), targets[part], slope) * up[part, None]
            dhead.addmm_(step.to(head.dtype).t(), hidden[part])
        return dhidden, dhead, None, None


def _chunks(hidden: Tensor, head: Tensor) -> list[slice]:
    rows = max(_CHUNK // head.shape[0], 16)
    return [slice(at, at + rows) for at in range(0, len(hidden), rows)]


def _capped(logits: Tensor, cap: float | None) -> Tensor:
    return logits if cap is None else torch.tanh(logits / cap) * cap


def _upwards(weights: Tensor, total: Tensor, targets: Tensor, slope: Tensor | None) -> Tensor:
    """onehot - softmax, in place of ``weights``: the way in which the logits should move."""
    step = weights.div_(-total[:, None])
    step.scatter_add_(1, targets[:, None], torch.ones_like(step[:, :1]))
    return step if slope is None else step * slope
