"""Weights laid out for serving on a processor: in panels for our own products, in oneDNN's order where the processor or
the sizes are not made for those, or rounded to four bits.

Eight bits are for few streams and for little memory: a step of one row is the time of reading the weights. With many
rows they are slower than bfloat16 (docs/performance.md). What is packed can no longer be trained, merged or saved.
Knows no engine.
"""

from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

from hypotez.errors import SettingsError
from hypotez.nn.decoder import Decoder
from hypotez.nn.fused import compiled, installed
from hypotez.nn.memory import Arena, give_back

if TYPE_CHECKING:
    from hypotez.nn.stack import Stack

GROUP = 32  # weights of one row that share a scale and a middle, in four bits
_SHRINKS = (1.0, 0.93, 0.86, 0.79)  # of a group's range: cutting off the farthest weights may round the others better
_TRIMMED = 8  # matrices laid out before memory is returned to the system
_SPARE = 0.25  # a second copy of the embedding, packed for the logits, may add this part of all weights


class Weights(StrEnum):
    """How the wide matrices are kept: as they are, or rounded."""

    FULL = "full"
    INT8 = "int8"
    INT4 = "int4"


class Product(Protocol):
    """x (T, inputs) times a packed weight, plus bias (outputs,) and residual (T, outputs)."""

    def __call__(self, x: Tensor, bias: Tensor | None, residual: Tensor | None) -> Tensor: ...


class Reordered:
    """The weight in oneDNN's order. The residual is added before the result is rounded."""

    def __init__(self, weight: Tensor) -> None:
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), None)
        self._multiply = torch.ops.mkldnn._linear_pointwise.default  # found once: the search costs as much as a norm
        self._multiply_and_add = torch.ops.mkldnn._linear_pointwise.binary

    def __call__(self, x: Tensor, bias: Tensor | None, residual: Tensor | None) -> Tensor:
        if residual is not None:
            out: Tensor = self._multiply_and_add(x, residual, self._weight, bias, "add")
        else:
            out = self._multiply(x, self._weight, bias, "none", [], "")
        return out


class Panels:
    """bfloat16 or eight bits for our own loops, faster than oneDNN for few rows; all layers then are one call."""

    def __init__(self, weight: Tensor, scale: Tensor | None = None) -> None:
        self.weight = weight  # as ``kernels.in_panels`` lays it out
        self.scale = scale  # of each output, for eight bits

    def __call__(self, x: Tensor, bias: Tensor | None, residual: Tensor | None) -> Tensor:
        kernels = compiled(x)
        assert kernels is not None, "packed weights take no gradient, and stay on the processor"
        out: Tensor = kernels.panels(x, self.weight, self.scale, bias, residual)
        return out


class Int8:
    """Eight bits (``eight_bits``), where they cannot lie in panels."""

    def __init__(self, codes: Tensor, scale: Tensor) -> None:
        self._codes, self._scale = codes, scale

    def __call__(self, x: Tensor, bias: Tensor | None, residual: Tensor | None) -> Tensor:
        if (kernels := compiled(x)) is not None and x.shape[1] % kernels.LANES == 0:
            return _plus(kernels.product(x, self._codes, self._scale, residual), bias, None)
        return _plus(torch._weight_int8pack_mm(x, self._codes, self._scale), bias, residual)


class Int4:
    """Four bits, and a scale and a middle for every ``GROUP`` inputs of an output."""

    def __init__(self, weight: Tensor) -> None:
        codes, scale, middle = four_bits(weight)
        self._codes = torch.ops.aten._convert_weight_to_int4pack_for_cpu(codes, 1)
        self._scales = torch.stack([scale, middle], -1).transpose(0, 1).contiguous()  # (groups, outputs, 2)

    def __call__(self, x: Tensor, bias: Tensor | None, residual: Tensor | None) -> Tensor:
        out = torch.ops.aten._weight_int4pack_mm_for_cpu(x, self._codes, GROUP, self._scales)
        return _plus(out, bias, residual)


def eight_bits(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Codes -127 to 127 (outputs, inputs) and a scale for each output (outputs,): a weight is code * scale."""
    scale = (weight.float().abs().amax(1) / 127).clamp(min=1e-8).to(weight.dtype)
    # divided by the scale as it is kept, so that its own rounding costs nothing
    codes = (weight.float() / scale.float()[:, None]).round_().clamp_(-127, 127).to(torch.int8)
    return codes, scale


def four_bits(weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Codes 0 to 15 (outputs, inputs), scales and middles (outputs, groups): a weight is (code - 8) scale + middle.

    Of a few ranges for each group the one with the least squared error is taken.
    """
    groups = weight.float().view(len(weight), -1, GROUP)
    low, high = groups.amin(-1, keepdim=True), groups.amax(-1, keepdim=True)
    found: tuple[Tensor, Tensor, Tensor, Tensor] | None = None
    for shrink in _SHRINKS:
        scale = ((high - low) * (shrink / 15)).clamp(min=1e-8).to(weight.dtype).float()
        middle = ((low + high + scale) / 2).to(weight.dtype).float()
        codes = ((groups - middle) / scale).add_(8).round_().clamp_(0, 15)
        error = ((codes - 8) * scale + middle).sub_(groups).square_().sum(-1, keepdim=True)
        if found is None:
            found = error, codes, scale, middle
        else:
            better = error < found[0]
            for kept, tried in zip(found, (error, codes, scale, middle), strict=True):
                torch.where(better, tried, kept, out=kept)
    assert found is not None
    _, codes, scale, middle = found
    return codes.flatten(1).int(), scale[..., 0].to(weight.dtype), middle[..., 0].to(weight.dtype)


@torch.no_grad()
def pack(decoder: Decoder, weights: Weights = Weights.FULL) -> None:
    """Lay the decoder's wide matrices out for serving, one after another; nothing where that wins nothing.

    Raises ``SettingsError`` for rounded weights on anything but a processor.
    """
    if decoder.device.type != "cpu":
        if weights is not Weights.FULL:
            raise SettingsError(
                f"{weights.value} weights need the CPU, the model is on {decoder.device}; set engine.weights to full."
            )
        return
    arena = Arena(_room(decoder) if compiled(decoder.embed_tokens.weight) is not None else 0)
    for done, linear in enumerate(decoder.linears):
        linear.product = _product(linear.weight, weights, arena)
        if linear.product is not None:
            linear.weight = nn.Parameter(linear.weight.new_empty(0), requires_grad=False)  # tells dtype and device
            if done % _TRIMMED == 0:
                give_back()  # malloc keeps what it can, and the arena does not use it
    _pack_head(decoder, weights, arena)
    decoder.stack = _stack(decoder)


def _room(decoder: Decoder) -> int:
    """Bytes for all wide matrices; what rounding makes smaller is never touched."""
    tied = decoder.embed_tokens.weight if decoder.lm_head is None else decoder.lm_head.weight
    matrices = [*(linear.weight for linear in decoder.linears), tied]
    return sum(matrix.nbytes + 64 for matrix in matrices)


def _pack_head(decoder: Decoder, weights: Weights, arena: Arena) -> None:
    """The logits' matrix; eight bits where the others have four, for it chooses the words."""
    rounded = Weights.INT8 if weights is Weights.INT4 else weights
    if decoder.lm_head is not None:
        decoder.head = _product(decoder.lm_head.weight, rounded, arena)
        if decoder.head is not None:
            decoder.lm_head.weight = nn.Parameter(decoder.lm_head.weight.new_empty(0), requires_grad=False)
        return
    embedding, inner = decoder.embed_tokens.weight.numel(), sum(m.inputs * m.outputs for m in decoder.linears)
    if rounded is Weights.INT8 or embedding <= _SPARE * (embedding + inner):
        decoder.head = _product(decoder.embed_tokens.weight, rounded, arena)


def _product(weight: Tensor, weights: Weights, arena: Arena) -> Product | None:
    outputs, inputs = weight.shape
    if weights is Weights.INT4 and inputs % GROUP == 0 and outputs % 16 == 0:
        return Int4(weight)
    kernels = compiled(weight)
    if weights is not Weights.FULL:
        codes, scale = eight_bits(weight)
        ours = kernels.in_panels(codes) if kernels is not None and weight.dtype is torch.bfloat16 else None
        return Panels(arena.keep(ours), scale) if ours is not None else Int8(codes, scale)
    if kernels is not None and (laid_out := kernels.in_panels(weight)) is not None:
        return Panels(arena.keep(laid_out))
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return None
    if weight.dtype is torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return None
    return Reordered(weight)


def _stack(decoder: Decoder) -> "Stack | None":
    module = installed("stack")
    return module.Stack.of(decoder) if module is not None else None


def _plus(out: Tensor, bias: Tensor | None, residual: Tensor | None) -> Tensor:
    if bias is not None:
        out += bias
    if residual is not None:
        out += residual
    return out
