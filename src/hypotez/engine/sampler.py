"""Logits to tokens, for a whole batch at once, each row by its own wishes.

A row's draw depends on its own dice and its own logits only, so a seed gives the same reply whatever
else is in the batch. Where no row wants more than the likeliest token, no probability is computed.
"""

from collections.abc import Sequence as Rows

import torch
import torch.nn.functional as F
from torch import Tensor

from hypotez.engine.sequence import Sequence, TokenLogprob
from hypotez.nn.fused import likeliest

RUN = 256
CANDIDATES = 128  # top_p and its kin look at so many tokens first; only a flatter row is sorted whole


def choose(
    logits: Tensor, sequences: Rows[Sequence], allowed: Tensor | None = None
) -> list[tuple[int, TokenLogprob | None]]:
    """logits (N, V) -> N tokens, with log-probabilities where they were asked for.

    ``allowed`` (N, V) is False where a grammar forbids the token.
    """
    wishes = [s.sampling for s in sequences]
    if allowed is None and all(s.greedy for s in sequences):
        return [(token, None) for token in likeliest(logits)]
    scores = logits.float()
    reported = torch.log_softmax(scores, -1) if any(w.logprobs is not None for w in wishes) else None
    scores = _adjusted(scores, sequences)
    if allowed is not None:
        scores = scores.masked_fill(~allowed.to(scores.device), float("-inf"))
    tokens = scores.max(-1).indices
    drawn = [i for i, w in enumerate(wishes) if w.temperature > 0]
    if drawn:
        tokens[drawn] = _draw(scores[drawn], [sequences[i] for i in drawn])
    chosen = tokens.tolist()
    if reported is None:
        return [(token, None) for token in chosen]
    return [(t, _logprob(reported[i], t, w.logprobs)) for i, (t, w) in enumerate(zip(chosen, wishes, strict=True))]


def _adjusted(scores: Tensor, sequences: Rows[Sequence]) -> Tensor:
    """Penalties as OpenAI defines them, and logit_bias."""
    if not any(s.sampling.logit_bias or s.said for s in sequences):
        return scores
    scores = scores.clone()  # ``reported`` and the caller keep theirs
    for i, s in enumerate(sequences):
        if s.penalised and s.said:
            counts = torch.tensor(list(s.said.values()), dtype=torch.float32, device=scores.device)
            cost = s.sampling.frequency_penalty * counts + s.sampling.presence_penalty
            scores[i, list(s.said)] -= cost
        if s.sampling.logit_bias:
            bias = {t: b for t, b in s.sampling.logit_bias.items() if t < scores.shape[-1]}
            scores[i, list(bias)] += torch.tensor(list(bias.values()), device=scores.device)
    return scores


def _draw(scores: Tensor, sequences: Rows[Sequence]) -> Tensor:
    """(n,) tokens by inverting the cumulative distribution at one number per row."""
    wishes = [s.sampling for s in sequences]
    device = scores.device
    heat = torch.tensor([w.temperature for w in wishes], device=device)[:, None]
    # Less the largest first: a temperature near zero would overflow otherwise.
    chances = ((scores - scores.amax(-1, keepdim=True)) / heat).softmax(-1)
    dice = torch.tensor([s.dice.random() for s in sequences], dtype=torch.float32, device=device)[:, None]
    narrow = [i for i, w in enumerate(wishes) if w.top_p < 1 or w.top_k > 0 or w.min_p > 0]
    tokens = _invert(chances, dice)
    if narrow:
        tokens[narrow] = _draw_narrow(
            chances[narrow],
            dice[narrow],
            [wishes[i].top_p for i in narrow],
            [wishes[i].top_k for i in narrow],
            [wishes[i].min_p for i in narrow],
        )
    return tokens


def _draw_narrow(chances: Tensor, dice: Tensor, top_p: list[float], top_k: list[int], min_p: list[float]) -> Tensor:
    """The same among the likeliest tokens only."""
    device, width = chances.device, chances.shape[-1]
    p = torch.tensor(top_p, device=device)[:, None]
    k = torch.tensor([k if k > 0 else width for k in top_k], device=device)[:, None]
    floor = torch.tensor(min_p, device=device)[:, None]
    best, ids = chances.topk(min(CANDIDATES, width))
    flat = (best.sum(-1, keepdim=True) < p) & (k > best.shape[-1])
    if flat.any():
        best, ids = chances.sort(descending=True, stable=True)
    before = best.cumsum(-1) - best  # what is likelier than this token; the first always stays
    keep = (
        (before < p.clamp(min=1e-9)) & (torch.arange(best.shape[-1], device=device) < k) & (best >= floor * best[:, :1])
    )
    return ids.gather(-1, _invert(best * keep, dice)[:, None])[:, 0]


def _invert(chances: Tensor, dice: Tensor) -> Tensor:
    """chances (n, V), need not sum to one; dice (n, 1) in [0, 1) -> (n,).

    In two steps, a run of ``RUN`` tokens and then one of it: a running sum over a whole vocabulary is slow.
    """
    runs = F.pad(chances, (0, -chances.shape[-1] % RUN)).view(len(chances), -1, RUN)
    sums = runs.sum(-1).cumsum(-1)
    # A hair below the sum: a draw that rounds up to it would fall off the end.
    target = (dice * sums[:, -1:]).minimum(sums[:, -1:] * (1 - 1e-6))
    run = torch.searchsorted(sums, target, right=True)
    before = sums.gather(-1, (run - 1).clamp(min=0)) * (run > 0)
    inside = runs[torch.arange(len(runs), device=runs.device), run[:, 0]].cumsum(-1)
    rest = (target - before).clamp(min=0).minimum(inside[:, -1:] * (1 - 1e-6))
    return run[:, 0] * RUN + torch.searchsorted(inside, rest, right=True)[:, 0]


def _logprob(row: Tensor, token: int, alternatives: int | None) -> TokenLogprob | None:
    if alternatives is None:
        return None
    values, ids = row.topk(min(alternatives, row.shape[-1]))
    top = tuple(zip(ids.tolist(), values.tolist(), strict=True))
    return TokenLogprob(token, row[token].item(), top)
