"""The training loop of the built-in model: bf16 arithmetic, float32 masters, Muon for matrices and AdamW for the rest.

Two ways to say when to stop: a number of steps (the same seed then gives the same weights on the same machine) or a
time of day, by which the learning rate will have fallen to zero however fast the machine turned out to be. Knows no
facts.
"""

import json
import math
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from hypotez.nn.decoder import Decoder
from hypotez.nn.linear import Linear
from hypotez.pocket.batches import Batch, Groups

WARMUP, COOLDOWN = 0.02, 0.45  # shares of the run
MUON_RATE, ADAM_RATE = 0.02, 4e-3
PARTS = 6  # batches in a step: more than threads, so that none of them waits long for the other
SHAPE = 480  # rows of logits come in multiples of this: a new shape costs the bf16 kernels a compilation
PROMPT_SHARE, PROMPT_WEIGHT = 0.06, 0.3  # at first the prompts are learned too, for the sake of the language


class Masters:
    """Float32 copies of the decoder's bf16 weights, and the two optimizers that move them."""

    def __init__(self, decoder: Decoder) -> None:
        self.pairs: list[tuple[Tensor, Tensor, slice]] = []  # (master, parameter, rows of it)
        matrices: list[Tensor] = []
        others: list[Tensor] = []
        fused = {f"{n}.weight": [s for _, s in m.parts] for n, m in decoder.named_modules() if isinstance(m, Linear)}
        for name, parameter in decoder.named_parameters():
            begin = 0
            for size in fused.get(name, [parameter.shape[0]]):  # q, k and v are moved apart: one step size each
                rows = slice(begin, begin + size)
                begin += size
                master = parameter.detach()[rows].float().clone().requires_grad_()
                self.pairs.append((master, parameter, rows))
                (matrices if name in fused else others).append(master)
        matrices.sort(key=torch.numel)
        self.muons = [torch.optim.Muon(matrices[i::2], lr=MUON_RATE, weight_decay=0.02, momentum=0.95) for i in (0, 1)]
        self.adam = torch.optim.AdamW(others, lr=ADAM_RATE, betas=(0.9, 0.95), weight_decay=0.0, fused=True)

    @torch.no_grad()
    def step(self, gradients: dict[Tensor, Tensor], scale: float, pool: Executor) -> None:
        """Move the masters along the parameters' gradients at `scale` times the full rate, and round them back."""
        for master, parameter, rows in self.pairs:
            master.grad = gradients[parameter][rows]
        for muon in self.muons:
            muon.param_groups[0]["lr"] = MUON_RATE * scale
        self.adam.param_groups[0]["lr"] = ADAM_RATE * scale
        torch.nn.utils.clip_grad_norm_([m for m, _, _ in self.pairs], 1.0)
        for moved in [pool.submit(muon.step) for muon in self.muons]:  # Newton-Schulz is worth both cores
            moved.result()
        self.adam.step()
        for master, parameter, rows in self.pairs:
            parameter[rows] = master.to(parameter.dtype)

    def state(self) -> dict[str, object]:
        """What `restore` needs to go on."""
        return {
            "masters": [m.detach() for m, _, _ in self.pairs],
            "muons": [m.state_dict() for m in self.muons],
            "adam": self.adam.state_dict(),
        }

    @torch.no_grad()
    def restore(self, state: dict[str, object]) -> None:
        """Go on from `state`."""
        for (master, parameter, rows), saved in zip(self.pairs, state["masters"], strict=True):  # type: ignore[call-overload]
            master.copy_(saved)
            parameter[rows] = saved.to(parameter.dtype)
        for muon, saved in zip(self.muons, state["muons"], strict=True):  # type: ignore[call-overload]
            muon.load_state_dict(saved)
        self.adam.load_state_dict(state["adam"])  # type: ignore[arg-type]


class Clock:
    """How far the run is, from 0 to 1: by steps, or by the time of day at which it must end."""

    def __init__(self, steps: int | None, end: float | None) -> None:
        self.steps, self.end = steps, end
        self.began, self.before = time.time(), 0.0  # share of the run done before a resume
        self.share = 0.0  # done at the last look

    def progress(self, step: int) -> float:
        """Share of the run that is done at this step."""
        if self.end is None:
            assert self.steps
            self.share = min(1.0, step / self.steps)
        else:
            share = (time.time() - self.began) / max(1.0, self.end - self.began)
            self.share = min(1.0, self.before + (1 - self.before) * share)
        return self.share


def rate(progress: float) -> float:
    """Warm up, stay, fall linearly to zero (warmup-stable-decay, Hu et al. 2024)."""
    if progress < WARMUP:
        return 0.05 + 0.95 * progress / WARMUP
    return min(1.0, (1 - progress) / COOLDOWN)


def loss_of(decoder: Decoder, batch: Batch, prompt_weight: float = 0.0) -> tuple[Tensor, float]:
    """Cross-entropy summed over the replies' tokens, and how many they are; the prompts' count `prompt_weight` each."""
    hidden = decoder(batch.tokens, batch.positions, Groups(batch.groups, decoder.dtype))
    weights = torch.where(batch.learned, 1.0, prompt_weight).masked_fill(batch.targets < 0, 0.0)
    rows = weights.nonzero().squeeze(1)
    share = F.pad(weights[rows], (0, -len(rows) % SHAPE))
    rows = F.pad(rows, (0, -len(rows) % SHAPE))  # few shapes; the spare rows weigh nothing
    losses = F.cross_entropy(decoder.logits(hidden[rows]).float(), batch.targets[rows].clamp(min=0), reduction="none")
    return (losses * share).sum(), float(share.sum())


class Workers:
    """Gradients by as many threads as cores, each with a part of the batch of its own and single-threaded kernels.

    On a machine that does other work too this is several times faster than kernels of two threads, which wait for each
    other at every matmul instead of once a step.
    """

    def __init__(self, decoder: Decoder, threads: int) -> None:
        self.decoder, self.parameters = decoder, list(decoder.parameters())
        self.ready: list[Batch] = []
        self.pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))

    def gradients(self, source: Iterator[Batch], prompt_weight: float) -> tuple[dict[Tensor, Tensor], float, int]:
        """Mean gradients (float32), mean loss and tokens over PARTS batches; the next ones are written meanwhile."""
        parts = self.ready or [next(source) for _ in range(PARTS)]
        working = [self.pool.submit(self._part, part, prompt_weight) for part in parts]
        self.ready = [next(source) for _ in range(PARTS)]
        done = [w.result() for w in working]
        count = sum(c for _, _, c in done)
        total = list(self.pool.map(lambda g: _mean(g, count), zip(*(g for g, _, _ in done), strict=True)))
        mean = sum(loss for _, loss, _ in done) / count
        return dict(zip(self.parameters, total, strict=True)), mean, sum(part.real for part in parts)

    def _part(self, part: Batch, prompt_weight: float) -> tuple[list[Tensor], float, float]:
        loss, count = loss_of(self.decoder, part, prompt_weight)
        found = torch.autograd.grad(loss, self.parameters)
        return list(found), float(loss.detach()), count


def _mean(gradients: tuple[Tensor, ...], count: float) -> Tensor:
    return torch.stack(gradients).sum(0, dtype=torch.float32).div_(count)


def pretrain(
    decoder: Decoder, source: Iterator[Batch], clock: Clock, folder: Path, threads: int = 2, every: float = 240.0
) -> dict[str, float]:
    """Train in place until the clock says 1; log to `folder`/log.jsonl, keep a checkpoint there every `every` seconds.

    Returns steps, tokens, seconds and the last loss.
    """
    folder.mkdir(parents=True, exist_ok=True)
    masters, workers = Masters(decoder), Workers(decoder, threads)
    step, tokens, seconds = 0, 0, 0.0
    saved = folder / "checkpoint.pt"
    if saved.exists():
        state = torch.load(saved, weights_only=False)
        masters.restore(state)
        step, tokens, seconds, clock.before = state["step"], state["tokens"], state["seconds"], state["progress"]
    shown, kept, mean = time.time(), time.time(), float("nan")
    counted = tokens
    while (progress := clock.progress(step)) < 1.0:
        began = time.time()
        gradients, loss, real = workers.gradients(source, PROMPT_WEIGHT if progress < PROMPT_SHARE else 0.0)
        masters.step(gradients, rate(progress), workers.pool)
        step, tokens, seconds = step + 1, tokens + real, seconds + time.time() - began
        mean = loss if math.isnan(mean) else 0.95 * mean + 0.05 * loss
        if step % 20 == 0:
            now = time.time()
            line = {
                "step": step,
                "progress": round(progress, 4),
                "loss": round(mean, 4),
                "tokens": tokens,
                "tokens_per_second": round((tokens - counted) / (now - shown)),
                "time": time.strftime("%H:%M:%S", time.gmtime(now)),
            }
            with (folder / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            shown, counted = now, tokens
        if time.time() - kept > every:
            _keep(masters, saved, step, tokens, seconds, clock.progress(step))
            kept = time.time()
    _keep(masters, saved, step, tokens, seconds, 1.0)
    return {"steps": step, "tokens": tokens, "seconds": seconds, "loss": mean}


def _keep(masters: Masters, path: Path, step: int, tokens: int, seconds: float, progress: float) -> None:
    state = masters.state() | {"step": step, "tokens": tokens, "seconds": seconds, "progress": progress}
    torch.save(state, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)
